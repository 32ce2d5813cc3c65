import type { YapServerFrame } from '@voice-fleet/protocol/yap';
import type { Clock } from '@voice-fleet/runtime/clock';
import type { UtteranceMarks } from './marks.ts';
import { failureOfFrame, YapProtocolError } from './yap-errors.ts';
import { withTimeout } from './yap-wait.ts';

type PayloadOf<T extends YapServerFrame['type']> = Extract<YapServerFrame, { type: T }>['payload'];
export type YapUsage = PayloadOf<'done'>['usage'];
export type YapDrop = Extract<PayloadOf<'status'>, { kind: 'overload_drop' }>;
/** A place in line, a limit that comes near, a server that goes away: about the session, not an utterance. */
export type YapNotice = Exclude<PayloadOf<'status'>, YapDrop>;

export interface YapUtteranceHandlers {
  readonly onToken?: (text: string) => void;
  readonly onFinal?: (text: string) => void;
  readonly onDone?: (usage: YapUsage) => void;
  readonly onStatus?: (status: YapDrop) => void;
  readonly onError?: (error: Error) => void;
}

export interface YapTranscript {
  readonly requestId: string;
  /** All tokens joined; the dialect promises that it equals `finalText`. */
  readonly text: string;
  readonly finalText: string;
  readonly usage: YapUsage;
  /** Audio the server threw away under overload. */
  readonly droppedS: number;
  readonly marks: UtteranceMarks;
}

/** Where an utterance's audio goes. */
export interface UtteranceOutput {
  start(): void;
  /** PCM16, 16 kHz, mono. */
  audio(pcm: Buffer): void;
  finish(): void;
}

interface UtteranceDeps {
  readonly requestId: string;
  readonly clock: Clock;
  readonly output: UtteranceOutput;
  readonly handlers: YapUtteranceHandlers;
}

/** One utterance, from its opening commit to `done`. Made by the `utterance` of a client. */
export class YapUtterance {
  readonly requestId: string;
  readonly marks: UtteranceMarks;
  readonly #deps: UtteranceDeps;
  readonly #failed = new AbortController();
  readonly #outcome: Promise<YapTranscript>;
  #resolve: (transcript: YapTranscript) => void = () => {};
  #reject: (error: Error) => void = () => {};
  #text = '';
  #finalText: string | undefined;
  #droppedS = 0;

  constructor(deps: UtteranceDeps) {
    this.#deps = deps;
    this.requestId = deps.requestId;
    this.#outcome = new Promise((resolve, reject) => {
      this.#resolve = resolve;
      this.#reject = reject;
    });
    // Whoever calls `result` sees the failure; an utterance given up on must not end the process.
    this.#outcome.catch(() => {});
    deps.output.start();
    this.marks = { startMs: deps.clock.now(), tokenMs: [] };
  }

  /** The tokens so far. */
  get text(): string {
    return this.#text;
  }

  /** Aborts when the utterance fails, with the failure as its reason. */
  get failed(): AbortSignal {
    return this.#failed.signal;
  }

  /** It has come to its end, well or not. */
  get settled(): boolean {
    return this.#failed.signal.aborted || this.marks.doneMs !== undefined;
  }

  append(pcm: Buffer): void {
    this.#deps.output.audio(pcm);
    const nowMs = this.#deps.clock.now();
    this.marks.firstAudioMs ??= nowMs;
    this.marks.lastAudioMs = nowMs;
  }

  finalize(): void {
    this.#deps.output.finish();
    this.marks.flushMs = this.#deps.clock.now();
  }

  /** Settles with `done`, or rejects with the error frame, the close or a timeout. */
  result(timeoutMs: number): Promise<YapTranscript> {
    return withTimeout(this.#deps.clock, this.#outcome, 'the transcript', timeoutMs);
  }

  fail(error: Error): void {
    if (this.settled) return;
    this.#failed.abort(error);
    this.#reject(error);
    this.#deps.handlers.onError?.(error);
  }

  receive(frame: YapServerFrame): void {
    if (this.settled) return;
    const { handlers, clock } = this.#deps;
    const nowMs = clock.now();
    switch (frame.type) {
      case 'token':
        this.marks.tokenMs.push(nowMs);
        if (frame.payload.text.trim() !== '') this.marks.firstWordMs ??= nowMs;
        this.#text += frame.payload.text;
        handlers.onToken?.(frame.payload.text);
        return;
      case 'final':
        this.marks.finalMs = nowMs;
        this.#finalText = frame.payload.normalized_text;
        handlers.onFinal?.(this.#finalText);
        return;
      case 'done':
        this.#finish(frame.payload.usage, nowMs);
        return;
      case 'status':
        // Others come with the id of whatever was said last.
        if (frame.payload.kind !== 'overload_drop') return;
        this.#droppedS += frame.payload.dropped_seconds;
        handlers.onStatus?.(frame.payload);
        return;
      case 'error':
        this.fail(failureOfFrame(frame));
        return;
      case 'session.created':
      case 'session.resumed':
      case 'session.updated':
      case 'ack':
      case 'cancelled':
      case 'pong':
      case 'session_end':
      case 'session.report':
        return;
    }
  }

  #finish(usage: YapUsage, nowMs: number): void {
    if (this.#finalText === undefined) {
      this.fail(new YapProtocolError('The server sent "done" without a "final" before it.'));
      return;
    }
    this.marks.doneMs = nowMs;
    this.#resolve({
      requestId: this.requestId,
      text: this.#text,
      finalText: this.#finalText,
      usage,
      droppedS: this.#droppedS,
      marks: this.marks,
    });
    this.#deps.handlers.onDone?.(usage);
  }
}
