import { type ErrorCode, VoiceError } from '@voice-fleet/protocol/errors';
import type { LinkWord } from '@voice-fleet/protocol/link';
import type {
  ClientCommand,
  DropSource,
  ResumedUtterance,
  SessionEvent,
  SessionInfo,
} from '@voice-fleet/protocol/session';
import { Failover } from './failover.ts';
import type { Link, LinkRequest, UtteranceEvent } from './link.ts';
import { type HolderListener, LinkHolder, type MoveCause } from './link-holder.ts';
import { RateLimits } from './rate-limits.ts';
import { expectMeant, expectModel } from './served-model.ts';
import { newTotals, type SessionDeps } from './session-deps.ts';
import type { SessionSnapshot } from './snapshot.ts';
import { Utterance } from './utterance.ts';
import { UtteranceSlot } from './utterance-slot.ts';
import { Watchdog } from './watchdog.ts';

/** What one connection is doing. `apply` is synchronous: effects come in the order of frames. It knows no wire format or socket. */
export class Session implements HolderListener {
  readonly id: string;
  /** Undefined before it is admitted. */
  info: SessionInfo | undefined;
  readonly totals = newTotals();
  readonly #deps: SessionDeps;
  readonly #watchdog: Watchdog;
  readonly #rates: RateLimits;
  readonly #links: LinkHolder;
  readonly #failover: Failover;
  /** The session ends with this as soon as its utterance has. */
  #endsWith: VoiceError | undefined;
  #createdAtMs = 0;
  readonly #slot = new UtteranceSlot();

  constructor(deps: SessionDeps) {
    this.#deps = deps;
    this.id = deps.id;
    const { limits, clock, sink } = deps;
    this.#rates = new RateLimits(limits);
    this.#links = new LinkHolder({ clock, route: deps.route, listener: this });
    this.#failover = new Failover(clock, limits.failover, (code) => this.#giveUp(code));
    if (deps.restored) this.#restore(deps.restored);
    this.#watchdog = new Watchdog(clock, limits, () => this.busy || sink.busy === true, {
      onLimit: (kind) => sink.end({ kind }),
      onWarning: (usedS, maxS) =>
        sink.event({ kind: 'warning', limit: 'session_seconds', used: usedS, max: maxS }),
    });
  }

  /** Takes a slot; then the session may be used. Rejects with VoiceError when there is none, or when closed meanwhile. */
  async open(line: Pick<LinkRequest, 'waitMs' | 'onPosition'>): Promise<SessionInfo> {
    await this.#links.open(line);
    return this.#begin(this.#links.link?.model ?? '', this.#deps.clock.wallNow());
  }

  /** Goes on with a session begun elsewhere; its slot is looked for as after a loss. Throws when closed meanwhile. */
  resume({ model, createdAtMs }: SessionSnapshot): SessionInfo {
    this.#links.resume();
    if (this.#slot.any) this.#failover.wait('worker_lost');
    return this.#begin(model, createdAtMs);
  }

  /** What another gateway needs to go on from here, apart from `text`. */
  snapshot(): SessionSnapshot {
    const utterance = this.#slot.busy;
    return {
      model: this.info?.model ?? '',
      createdAtMs: this.#createdAtMs,
      utterances: this.totals.utterances,
      acceptedSamples: this.recordedSamples,
      ...(utterance && { utterance: utterance.snapshot() }),
    };
  }

  /** Audio accepted in the whole session. More than the session clock says while a resumed client sends some again. */
  get recordedSamples(): number {
    return Math.max(this.totals.acceptedSamples, this.#deps.restored?.acceptedSamples ?? 0);
  }

  /** The open utterance's number and its text; number 0: none is open. */
  get transcript(): UtteranceSlot['transcript'] {
    return this.#slot.transcript;
  }

  /** The open utterance, and from which of its own samples on its audio may be asked for again. */
  get keep(): ResumedUtterance | undefined {
    return this.#slot.keep;
  }

  /** Takes no more audio, lets the open utterance come to its end, and ends. */
  endWith(error: VoiceError): void {
    this.#endsWith ??= error;
    if (this.busy) this.finish();
    else this.#endNow(error);
  }

  /** An utterance is under way. */
  get busy(): boolean {
    return this.#slot.busy !== undefined;
  }

  /** Takes no more audio, and lets the utterance that takes some come to its end. */
  finish(): void {
    const utterance = this.#slot.busy;
    if (utterance?.phase === 'open') this.#finish(utterance);
  }

  /** Ends the utterance, if there is one, without a word. */
  drop(): void {
    this.#failover.stop();
    this.#slot.drop(this.#links.link, this.#deps.sink);
  }

  /** See `LinkHolder.wish`, and served-model.ts. */
  readonly wishDelay = (delayMs: number) => this.#links.wish(delayMs);
  readonly expectMeant = (model: string) =>
    this.info && expectMeant(model, this.info.model, this.#deps);

  /** Any frame from the client, even a bad one, shows that it is there. */
  touch(): void {
    this.#watchdog.touch();
  }

  /** Throws VoiceError when the command is not allowed now; the session goes on. */
  apply(command: ClientCommand): void {
    // It is over but for its last words.
    if (this.count(command.kind) === 'message' && this.#endsWith !== undefined) return;
    this.perform(command);
  }

  /** As `apply` does, and `perform` does not. */
  readonly count = (kind: ClientCommand['kind']) => this.#rates.count(kind, this.#deps.clock);

  /** The same for what is no frame of the client's: it counts in no limit. */
  perform(command: ClientCommand): void {
    switch (command.kind) {
      case 'audio':
        return this.#audio(command.utteranceId, command.pcm);
      case 'start':
        return this.#start(command.utteranceId, command.silenceMs);
      case 'finalize':
        return this.#finalize(command.utteranceId);
      case 'configure':
        if (this.info === undefined) return;
        expectModel(command.model, this.info.model, this.#deps.meant);
        return this.#emit({ kind: 'configured', session: this.info });
      case 'cancel':
        this.drop();
        this.#emit({ kind: 'cancelled', reason: command.reason });
        return this.#endsWith && this.#endNow(this.#endsWith);
      case 'ping':
        return this.#emit({ kind: 'pong' });
      case 'ignore':
        return;
      case 'end':
        this.drop();
        this.#emit({ kind: 'ended' });
        return this.#deps.sink.end({ kind: 'ended' });
      default: // For a pipeline, and this dialect has none that knows it.
        throw new VoiceError('unknown_message_type');
    }
  }

  /** Ends everything the session owns and gives its slot back. */
  async close(): Promise<void> {
    this.#watchdog.stop();
    this.#failover.stop();
    await this.#links.close();
  }

  onUtterance(event: UtteranceEvent): void {
    const utterance = this.#slot.numbered(event.utterance);
    if (utterance === undefined) return;
    switch (event.type) {
      case 'partial':
        return this.#partial(utterance, event.words, event.tail);
      case 'final': {
        if (utterance.phase !== 'finishing')
          return this.#failUtterance(new VoiceError('engine_failed'));
        this.#partial(utterance, event.words, '');
        this.#slot.clear();
        const { promptTokens, completionTokens } = event;
        const usage = { promptTokens, completionTokens };
        this.#emit({ kind: 'final', utteranceId: utterance.id, text: utterance.text, usage });
        if (this.#endsWith) this.#endNow(this.#endsWith);
        return;
      }
      case 'dropped':
        return this.#dropped(utterance, event.samples, event.maxBacklogSamples, 'pending_buffer');
      case 'failed':
        return this.#leave('engine_failed', 'engine_failed');
      case 'speech_started':
        utterance.speechBegan();
        return this.#deps.sink.speech?.('started', utterance.id, event.sample);
      case 'speech_ended':
        return this.#deps.sink.speech?.('ended', utterance.id, event.sample);
    }
  }

  onSettled(sample: number): void {
    this.#slot.any?.settle(Math.min(sample, this.totals.acceptedSamples));
  }

  onTaken(sample: number, workMs: number | undefined): void {
    this.#deps.sink.onTaken?.(sample, workMs);
  }

  onStalled(): void {
    this.#leave('stalled', 'inbound_queue_full');
  }

  onCongestion(clogged: boolean): void {
    this.#deps.sink.holdInput(clogged);
  }

  onDraining(cause: 'stopping' | 'engine'): void {
    const settledSample = this.#slot.any?.settledSample ?? 0;
    // An utterance that every engine fails on is not to go round the fleet: the last worker's own error ends it.
    if (cause === 'engine' && !this.#failover.count(settledSample)) return;
    this.#links.move(cause === 'engine' ? 'engine_failed' : 'draining');
  }

  onLost(cause: string): void {
    this.totals.workersLost += 1;
    this.#deps.sink.workerLost(cause);
    this.#orphan('worker_lost');
  }

  onLinked(link: Link, cause: MoveCause, tookMs: number): void {
    this.totals.moves += 1;
    this.#failover.stop();
    this.#deps.sink.holdInput(false);
    this.#deps.sink.moved(cause, tookMs);
    const utterance = this.#slot.busy;
    if (utterance === undefined) return;
    const missing = utterance.startOn(link);
    if (missing > 0) this.#dropped(utterance, missing, 0, 'replay_buffer');
  }

  onRefused(error: VoiceError): void {
    const code = this.#failover.refused(error);
    if (code !== undefined) this.#giveUp(code);
  }

  #begin(model: string, createdAtMs: number): SessionInfo {
    this.#createdAtMs = createdAtMs;
    this.info = { id: this.id, model, createdAtS: Math.floor(createdAtMs / 1000) };
    this.#watchdog.start(Math.max(0, this.#deps.clock.wallNow() - createdAtMs));
    return this.info;
  }

  #restore({ snapshot, ...begun }: NonNullable<SessionDeps['restored']>): void {
    this.totals.utterances = snapshot.utterances;
    const { sink } = this.#deps;
    if (snapshot.utterance) this.#slot.put(new Utterance(snapshot.utterance, begun), sink, true);
    this.totals.acceptedSamples = this.#slot.any?.keepSample ?? begun.acceptedSamples;
  }

  #leave(cause: MoveCause, code: ErrorCode): void {
    this.#deps.sink.workerLost(cause);
    this.#orphan(code);
    this.#links.leave(cause);
  }

  /** The open utterance has no worker any more. */
  #orphan(code: ErrorCode): void {
    this.#deps.sink.holdInput(false);
    const utterance = this.#slot.busy;
    if (utterance === undefined) return;
    if (!this.#failover.lost(code, utterance.settledSample)) this.#giveUp(code);
  }

  #giveUp(code: ErrorCode): void {
    const { inboundQueueMax } = this.#deps.limits;
    const details = code === 'inbound_queue_full' ? { inbound_queue_max: inboundQueueMax } : {};
    this.#failUtterance(new VoiceError(code, { details }));
  }

  #start(utteranceId: string, silenceMs: number | undefined): void {
    this.drop();
    this.totals.utterances += 1;
    this.totals.acceptedSamples = this.recordedSamples;
    const number = this.totals.utterances;
    const utterance = Utterance.begin(utteranceId, number, this.recordedSamples, silenceMs);
    this.#slot.put(utterance, this.#deps.sink);
    if (this.#links.link !== undefined) return utterance.beginOn(this.#links.link);
    this.#failover.wait('worker_unavailable');
    this.#links.hurry();
  }

  #audio(utteranceId: string | undefined, pcm: Buffer): void {
    const utterance = this.#slot.expectOpen(utteranceId);
    if (utterance.phase === 'failed') return;
    this.totals.acceptedSamples += pcm.length >> 1;
    utterance.append(pcm);
    this.#links.link?.audio(pcm);
  }

  #finalize(utteranceId: string | undefined): void {
    const utterance = this.#slot.expectOpen(utteranceId);
    if (utterance.phase === 'failed') {
      this.#slot.clear();
      throw new VoiceError(utterance.failure ?? 'worker_lost');
    }
    this.#finish(utterance);
  }

  #finish(utterance: Utterance): void {
    utterance.phase = 'finishing';
    this.#links.link?.finish(utterance.number);
  }

  #partial(utterance: Utterance, words: readonly LinkWord[], tail: string): void {
    const text = utterance.tell(words);
    this.#deps.sink.heard?.(utterance.id, words);
    if (text === '' && tail === '') return;
    this.#emit({ kind: 'partial', utteranceId: utterance.id, text, tail });
  }

  #failUtterance(error: VoiceError): void {
    const utterance = this.#slot.busy;
    if (utterance === undefined) return;
    this.#failover.stop();
    // An open one stays as `failed`, so that audio still on its way is not answered with an error a frame.
    if (utterance.phase === 'finishing') this.#slot.clear();
    utterance.phase = 'failed';
    utterance.failure = error.code;
    this.#emit({ kind: 'error', error, utteranceId: utterance.id });
    if (error.tier === 'fatal') return this.#deps.sink.end({ kind: 'error', error });
    if (this.#endsWith) this.#endNow(this.#endsWith);
  }

  #dropped(utterance: Utterance, samples: number, limit: number, source: DropSource): void {
    this.totals.droppedSamples += samples;
    const dropped = { utteranceId: utterance.id, samples, maxBacklogSamples: limit, source };
    this.#emit({ kind: 'dropped', ...dropped });
  }

  #endNow(error: VoiceError): void {
    this.#emit({ kind: 'error', error });
    this.#deps.sink.end({ kind: 'error', error });
  }

  #emit(event: SessionEvent): void {
    this.#watchdog.touch();
    this.#deps.sink.event(event);
  }
}
