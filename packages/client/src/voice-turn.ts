import type { VoiceErrorCode, VoiceServerFrame } from '@voice-fleet/protocol/prompt-voice';
import type { Clock, Timer } from '@voice-fleet/runtime/clock';
import { type VoiceErrorFrame, VoiceProtocolError, VoiceServerError } from './voice-errors.ts';
import { VoiceFrameQueue } from './voice-frames.ts';
import {
  readPhrase,
  type VoiceLatency,
  type VoiceMarks,
  type VoiceOutcome,
  type VoicePhrase,
  type VoiceReply,
} from './voice-reply.ts';
import { withTimeout } from './yap-wait.ts';

export type VoiceMode = 'voice' | 'transcribe' | 'chat';

/** The latency marks follow what ends a turn; a server that sends none is not waited for longer. */
const LATENCY_GRACE_MS = 500;

/** Errors after which nothing more comes of this utterance. */
const ENDING: ReadonlySet<VoiceErrorCode> = new Set([
  'ASR_FAIL',
  'ASR_TIMEOUT',
  'LLM_TIMEOUT',
  'LLM_FAIL',
  'UNSUPPORTED_SAMPLE_RATE',
  'CANCELLED',
]);

/** Where a turn's audio and wishes go. */
export interface VoiceTurnOutput {
  /** PCM16 LE, 16 kHz, mono. */
  audio(pcm: Buffer): void;
  stop(): void;
  cancel(): void;
}

interface VoiceTurnDeps {
  readonly mode: VoiceMode;
  readonly clock: Clock;
  readonly output: VoiceTurnOutput;
}

/**
 * One utterance and all that comes of it: partials, transcript, the reply's tokens and its spoken phrases. Made by the `start`
 * of a VoiceClient. Iterating gives every frame from the start on; only one reader may.
 */
export class VoiceTurn implements AsyncIterable<VoiceServerFrame> {
  readonly mode: VoiceMode;
  readonly marks: VoiceMarks;
  readonly #deps: VoiceTurnDeps;
  readonly #frames = new VoiceFrameQueue();
  readonly #over = new AbortController();
  readonly #outcome: Promise<VoiceReply>;
  readonly #partials: string[] = [];
  readonly #phrases: VoicePhrase[] = [];
  readonly #faults: VoiceErrorFrame[] = [];
  #resolve: (reply: VoiceReply) => void = () => {};
  #reject: (error: Error) => void = () => {};
  #ending: { readonly outcome: VoiceOutcome; readonly error?: VoiceErrorFrame } | undefined;
  #grace: Timer | undefined;
  #transcript: string | undefined;
  #transcriptId: string | undefined;
  #finalizeReason: string | undefined;
  #reply = '';
  #replyDone = false;
  #latency: VoiceLatency | undefined;

  constructor(deps: VoiceTurnDeps) {
    this.mode = deps.mode;
    this.#deps = deps;
    this.marks = { startMs: deps.clock.now() };
    this.#outcome = new Promise((resolve, reject) => {
      this.#resolve = resolve;
      this.#reject = reject;
    });
    // Whoever calls `result` sees the failure; a turn given up on must not end the process.
    this.#outcome.catch(() => {});
  }

  /** Aborts when the turn is over, well or not: for those who still send audio. */
  get over(): AbortSignal {
    return this.#over.signal;
  }

  /** Whether more audio would be part of the utterance. */
  get listening(): boolean {
    const ended = this.#finalizeReason !== undefined || this.marks.finalMs !== undefined;
    return !ended && this.marks.stopMs === undefined && !this.#over.signal.aborted;
  }

  /** What came so far. */
  get reply(): VoiceReply {
    return {
      outcome: this.#ending?.outcome ?? 'failed',
      error: this.#ending?.error,
      faults: this.#faults,
      transcript: this.#transcript,
      transcriptId: this.#transcriptId,
      finalizeReason: this.#finalizeReason,
      partials: this.#partials,
      reply: this.#reply,
      replyDone: this.#replyDone,
      phrases: this.#phrases,
      marks: this.marks,
      latency: this.#latency,
    };
  }

  /** Sends PCM16 LE, 16 kHz, mono; after the turn is over it is let go. */
  send(pcm: Buffer): void {
    if (this.#over.signal.aborted) return;
    this.#deps.output.audio(pcm);
    const nowMs = this.#deps.clock.now();
    this.marks.firstAudioMs ??= nowMs;
    this.marks.lastAudioMs = nowMs;
  }

  /** What was just sent has speech in it; told by those who know their audio. The last time counts. */
  markSpeechEnd(): void {
    this.marks.speechEndMs = this.#deps.clock.now();
  }

  stop(): void {
    if (this.#over.signal.aborted) return;
    this.marks.stopMs = this.#deps.clock.now();
    this.#deps.output.stop();
  }

  /** The server answers with CANCELLED, and the turn is over. */
  cancel(): void {
    if (!this.#over.signal.aborted) this.#deps.output.cancel();
  }

  /**
   * All that came of it; an error that leaves the session open is told in it. Rejects with VoiceServerError when the server
   * ended the session, with what ended the connection, or with YapTimeout.
   */
  result(timeoutMs: number): Promise<VoiceReply> {
    return withTimeout(this.#deps.clock, this.#outcome, 'the end of the reply', timeoutMs);
  }

  [Symbol.asyncIterator](): AsyncIterator<VoiceServerFrame> {
    return this.#frames[Symbol.asyncIterator]();
  }

  fail(error: Error): void {
    if (this.#over.signal.aborted) return;
    // Nothing more would come, and what ends a turn has come.
    if (this.#ending) return this.#finish();
    this.#grace?.cancel();
    this.marks.endMs = this.#deps.clock.now();
    this.#over.abort(error);
    this.#frames.end(error);
    this.#reject(error);
  }

  /** Takes the next frame of the session. */
  receive(frame: VoiceServerFrame): void {
    if (this.#over.signal.aborted) return;
    this.#frames.push(frame);
    try {
      this.#take(frame, this.#deps.clock.now());
    } catch (error) {
      this.fail(error as Error);
    }
  }

  #take(frame: VoiceServerFrame, nowMs: number): void {
    const { marks } = this;
    switch (frame.type) {
      case 'partial_transcript':
        marks.firstPartialMs ??= nowMs;
        this.#partials.push(frame.text);
        return;
      case 'finalize_pending':
        this.#finalizeReason = frame.reason;
        return;
      case 'final_transcript':
        this.#onFinal(frame.text, frame.id, nowMs);
        return;
      case 'llm_token':
        if (frame.done) {
          marks.tokensDoneMs = nowMs;
          this.#replyDone = true;
          return;
        }
        marks.firstTokenMs ??= nowMs;
        this.#reply += frame.text;
        return;
      case 'text_chunk':
        marks.firstTokenMs ??= nowMs;
        // Chunks bring the space before them along; what is said of a failure does not.
        this.#reply += frame.success || this.#reply === '' ? frame.text : ` ${frame.text}`;
        if (!frame.is_final) return;
        marks.tokensDoneMs = nowMs;
        this.#replyDone = true;
        this.#end(frame.success ? 'complete' : 'failed');
        return;
      case 'tts_chunk':
        marks.firstSpeechMs ??= nowMs;
        this.#addPhrase(readPhrase(frame, nowMs));
        return;
      case 'tts_complete':
        this.#end('complete');
        return;
      case 'metrics':
        if (frame.event !== 'latency') return;
        this.#latency = frame;
        if (this.#ending) this.#finish();
        return;
      case 'error':
        this.#onError(frame);
        return;
      case 'info':
        if (frame.code === 'BARGE_IN') this.#end('interrupted');
        return;
      case 'protocol':
      case 'tts_phrase_done':
      case 'pong':
      case 'session.report':
        return;
    }
  }

  #onFinal(text: string, id: string, nowMs: number): void {
    if (this.#transcriptId !== undefined) {
      throw new VoiceProtocolError('The server sent a second final transcript of one utterance.');
    }
    this.marks.finalMs = nowMs;
    this.#transcript = text;
    this.#transcriptId = id;
    const answered = this.mode !== 'transcribe' && (this.mode === 'chat' || text.trim() !== '');
    if (!answered) this.#end('complete');
  }

  /** Phrases come in order; one that does not is put where it belongs. */
  #addPhrase(phrase: VoicePhrase): void {
    const before = this.#phrases.findIndex(({ seq }) => seq > phrase.seq);
    if (before === -1) this.#phrases.push(phrase);
    else this.#phrases.splice(before, 0, phrase);
  }

  #onError(frame: VoiceErrorFrame): void {
    if (!frame.recoverable) throw new VoiceServerError(frame);
    if (!ENDING.has(frame.code)) {
      this.#faults.push(frame);
      return;
    }
    this.#end(frame.code === 'CANCELLED' ? 'cancelled' : 'failed', frame);
  }

  #end(outcome: VoiceOutcome, error?: VoiceErrorFrame): void {
    if (this.#ending) return;
    this.#ending = { outcome, ...(error ? { error } : {}) };
    if (this.#latency) return this.#finish();
    this.#grace = this.#deps.clock.after(LATENCY_GRACE_MS, () => this.#finish());
  }

  #finish(): void {
    this.#grace?.cancel();
    this.marks.endMs = this.#deps.clock.now();
    this.#over.abort();
    this.#frames.end();
    this.#resolve(this.reply);
  }
}
