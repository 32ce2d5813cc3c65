import { VoiceError } from '@voice-fleet/protocol/errors';
import type { LinkWord } from '@voice-fleet/protocol/link';
import type {
  ClientCommand,
  CloseReason,
  SessionEvent,
  SessionInfo,
} from '@voice-fleet/protocol/session';
import type { Clock } from '@voice-fleet/runtime/clock';
import type { SessionLimits } from './limits.ts';
import type { ConnectLink, LinkListener, UtteranceEvent } from './link.ts';
import { LinkHolder } from './link-holder.ts';
import { RateWindow } from './rate-window.ts';
import type { Utterance } from './utterance.ts';
import { Watchdog } from './watchdog.ts';

/** Where a session's output goes: the connection that owns it. */
export interface SessionSink {
  event(event: SessionEvent): void;
  /** The session is over; the sink closes the connection and then the session. */
  end(reason: CloseReason): void;
  /** Stops (true) or resumes (false) reading from the client. */
  holdInput(hold: boolean): void;
  /** For the log: the worker of this session is gone. */
  workerLost(cause: string): void;
}

export interface SessionDeps {
  readonly id: string;
  readonly clock: Clock;
  readonly limits: SessionLimits;
  readonly connect: ConnectLink;
  readonly sink: SessionSink;
}

/** Facts for the log line and the metrics at the end of a session. */
export interface SessionTotals {
  utterances: number;
  acceptedSamples: number;
  droppedSamples: number;
  workersLost: number;
}

/**
 * What one connection is doing: at most one utterance, one link. `apply` is synchronous, so effects come in the order of
 * frames. It knows no wire format and no socket.
 */
export class Session implements LinkListener {
  readonly totals: SessionTotals = {
    utterances: 0,
    acceptedSamples: 0,
    droppedSamples: 0,
    workersLost: 0,
  };
  readonly #deps: SessionDeps;
  readonly #watchdog: Watchdog;
  readonly #messages: RateWindow;
  readonly #cancels: RateWindow;
  readonly #links: LinkHolder;
  #info: SessionInfo | undefined;
  #utterance: Utterance | undefined;

  constructor(deps: SessionDeps) {
    this.#deps = deps;
    const { limits, clock, sink } = deps;
    this.#messages = new RateWindow(limits.messagesPerWindow, limits.messageWindowMs);
    this.#cancels = new RateWindow(limits.cancelsPerWindow, limits.cancelWindowMs);
    this.#links = new LinkHolder({
      sessionId: deps.id,
      clock,
      connect: deps.connect,
      listener: this,
    });
    const busy = (): boolean => this.#utterance !== undefined && this.#utterance.phase !== 'failed';
    this.#watchdog = new Watchdog(clock, limits, busy, (kind) => sink.end({ kind }));
  }

  get id(): string {
    return this.#deps.id;
  }

  /** Takes a slot; then the session may be used. Rejects with VoiceError when there is none, or when closed meanwhile. */
  async open(): Promise<void> {
    await this.#links.open();
    const createdAtS = Math.floor(this.#deps.clock.wallNow() / 1000);
    this.#info = { id: this.id, model: this.#links.link?.model ?? '', createdAtS };
    this.#watchdog.start();
    this.#emit({ kind: 'created', session: this.#info });
  }

  /** Any frame from the client, even a bad one, shows that it is there. */
  touch(): void {
    this.#watchdog.touch();
  }

  /** Throws VoiceError when the command is not allowed now; the session goes on. */
  apply(command: ClientCommand): void {
    switch (command.kind) {
      case 'audio':
        this.#limit(this.#messages, 'message');
        return this.#audio(command.utteranceId, command.pcm);
      case 'start':
        this.#limit(this.#messages, 'message');
        return this.#start(command.utteranceId);
      case 'finalize':
        this.#limit(this.#messages, 'message');
        return this.#finalize(command.utteranceId);
      case 'configure':
        this.#limit(this.#messages, 'message');
        return this.#configure(command.model);
      case 'cancel':
        this.#limit(this.#cancels, 'cancel');
        this.#dropUtterance();
        return this.#emit({ kind: 'cancelled', reason: command.reason });
      case 'ping':
        return this.#emit({ kind: 'pong' });
      case 'ignore':
        return;
      case 'end':
        this.#dropUtterance();
        this.#emit({ kind: 'ended' });
        return this.#deps.sink.end({ kind: 'ended' });
    }
  }

  /** Ends everything the session owns and gives its slot back. */
  async close(): Promise<void> {
    this.#watchdog.stop();
    await this.#links.close();
  }

  onUtterance(event: UtteranceEvent): void {
    const utterance = this.#utterance;
    // Late events of an utterance that was cancelled or replaced say nothing to anyone.
    if (utterance === undefined || utterance.number !== event.utterance) return;
    switch (event.type) {
      case 'partial':
        return this.#partial(utterance, event.words, event.tail);
      case 'final': {
        if (utterance.phase !== 'finishing')
          return this.#failUtterance(new VoiceError('engine_failed'));
        this.#partial(utterance, event.words, '');
        this.#utterance = undefined;
        const { promptTokens, completionTokens } = event;
        const usage = { promptTokens, completionTokens };
        return this.#emit({
          kind: 'final',
          utteranceId: utterance.id,
          text: utterance.text,
          usage,
        });
      }
      case 'dropped': {
        this.totals.droppedSamples += event.samples;
        const { samples, maxBacklogSamples } = event;
        const utteranceId = utterance.id;
        return this.#emit({
          kind: 'dropped',
          utteranceId,
          samples,
          maxBacklogSamples,
          source: 'pending_buffer',
        });
      }
      case 'failed':
        return this.#failUtterance(new VoiceError('engine_failed'));
    }
  }

  onStalled(): void {
    const details = { inbound_queue_max: this.#deps.limits.inboundQueueMax };
    const error = new VoiceError('inbound_queue_full', { details });
    this.#emit({ kind: 'error', error });
    this.#deps.sink.end({ kind: 'error', error });
  }

  onCongestion(clogged: boolean): void {
    this.#deps.sink.holdInput(clogged);
  }

  onLost(cause: string): void {
    this.totals.workersLost += 1;
    this.#deps.sink.workerLost(cause);
    this.#deps.sink.holdInput(false);
    this.#failUtterance(new VoiceError('worker_lost', { cause }));
  }

  #start(utteranceId: string): void {
    this.#dropUtterance();
    this.totals.utterances += 1;
    const number = this.totals.utterances;
    const utterance: Utterance = { id: utteranceId, number, phase: 'open', text: '' };
    this.#utterance = utterance;
    const { link } = this.#links;
    if (link !== undefined) return link.start(number, this.totals.acceptedSamples);
    this.#links.hurry();
    throw fail(utterance, new VoiceError('worker_unavailable'));
  }

  #audio(utteranceId: string | undefined, pcm: Buffer): void {
    const utterance = this.#expectOpen(utteranceId);
    if (utterance.phase === 'failed') return;
    this.totals.acceptedSamples += pcm.length >> 1;
    this.#links.link?.audio(pcm);
  }

  #finalize(utteranceId: string | undefined): void {
    const utterance = this.#expectOpen(utteranceId);
    if (utterance.phase === 'failed') {
      this.#utterance = undefined;
      throw new VoiceError(utterance.failure ?? 'worker_lost');
    }
    utterance.phase = 'finishing';
    this.#links.link?.finish(utterance.number);
  }

  #expectOpen(utteranceId: string | undefined): Utterance {
    const utterance = this.#utterance;
    if (utterance === undefined || utterance.phase === 'finishing')
      throw new VoiceError('no_active_request');
    if (utteranceId !== undefined && utteranceId !== utterance.id) {
      throw new VoiceError('request_id_mismatch', { details: { active_request_id: utterance.id } });
    }
    return utterance;
  }

  #configure(model: string | undefined): void {
    const info = this.#info;
    if (info === undefined) return;
    if (model !== undefined && model !== info.model) {
      throw new VoiceError('unsupported_model', {
        details: { allowed_model: info.model, requested: model.slice(0, 200) },
      });
    }
    this.#emit({ kind: 'configured', session: info });
  }

  #partial(utterance: Utterance, words: readonly LinkWord[], tail: string): void {
    let text = '';
    for (const word of words) text += word.text;
    if (text === '' && tail === '') return;
    utterance.text += text;
    this.#emit({ kind: 'partial', utteranceId: utterance.id, text, tail });
  }

  #dropUtterance(): void {
    const utterance = this.#utterance;
    if (utterance === undefined) return;
    this.#utterance = undefined;
    if (utterance.phase !== 'failed') this.#links.link?.cancel(utterance.number);
  }

  #failUtterance(error: VoiceError): void {
    const utterance = this.#utterance;
    if (utterance === undefined || utterance.phase === 'failed') return;
    // An open one stays as `failed`, so that audio still on its way is not answered with an error a frame.
    if (utterance.phase === 'open') fail(utterance, error);
    else this.#utterance = undefined;
    this.#emit({ kind: 'error', error, utteranceId: utterance.id });
  }

  #limit(window: RateWindow, kind: 'message' | 'cancel'): void {
    const waitMs = window.take(this.#deps.clock.now());
    if (waitMs === 0) return;
    const { limits } = this.#deps;
    const limit = kind === 'message' ? limits.messagesPerWindow : limits.cancelsPerWindow;
    const windowMs = kind === 'message' ? limits.messageWindowMs : limits.cancelWindowMs;
    throw new VoiceError(`${kind}_rate_limited`, {
      details: { kind, limit, window_seconds: windowMs / 1000, retry_in: Math.ceil(waitMs) / 1000 },
    });
  }

  #emit(event: SessionEvent): void {
    this.#watchdog.touch();
    this.#deps.sink.event(event);
  }
}

function fail(utterance: Utterance, error: VoiceError): VoiceError {
  utterance.phase = 'failed';
  utterance.failure = error.code;
  return error;
}
