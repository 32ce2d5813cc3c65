import { VoiceError } from '@voice-fleet/protocol/errors';
import type { LinkWord } from '@voice-fleet/protocol/link';
import type {
  ClientCommand,
  CloseReason,
  CommitCause,
  ListenOptions,
  SessionEvent,
} from '@voice-fleet/protocol/session';
import type { Session } from '../session/session.ts';
import type { SessionSink } from '../session/session-deps.ts';
import { SinkFilter } from '../session/sink-filter.ts';
import { Backpressure } from '../voice/backpressure.ts';
import type { VoiceDeps } from '../voice/voice-deps.ts';
import type { OutboxLoad } from '../ws/outbox.ts';
import type { Pipeline, PipelineOwner } from '../ws/pipeline.ts';
import { Agent } from './agent.ts';
import { optionsInForce } from './listen-options.ts';
import type { ListenUtterance } from './listen-utterance.ts';
import { QuietWatch } from './quiet-watch.ts';
import { UtteranceLine } from './utterance-line.ts';

export type ListenSession = Pick<
  Session,
  'id' | 'info' | 'count' | 'perform' | 'finish' | 'drop' | 'totals' | 'wishDelay' | 'expectMeant'
>;

/**
 * Audio without end, cut into utterances: by its speaker's silence, its length or its client; and answered, if that is asked
 * for. Whatever becomes of one of them, the session goes on.
 */
export class ListenPipeline extends SinkFilter implements Pipeline {
  readonly #sink: SessionSink;
  readonly #deps: VoiceDeps;
  readonly #quiet: QuietWatch;
  readonly #backpressure: Backpressure;
  #session!: ListenSession;
  #line: UtteranceLine | undefined;
  #owner!: PipelineOwner;
  /** From when on utterances are to be answered. */
  #agent: Agent | undefined;
  /** No more audio comes. */
  #finishing = false;
  #stopped = false;
  /** What an utterance failed with is no reason to end the session. */
  #failure: VoiceError | undefined;
  /** Wishes for a delay of which is not told yet what came of them, the last one of them last. */
  #wishes = 0;
  #wished: Promise<void> = Promise.resolve();
  #lineHolds = false;
  #workerHolds = false;

  constructor(sink: SessionSink, deps: VoiceDeps) {
    super(sink);
    this.#sink = sink;
    this.#deps = deps;
    this.#backpressure = new Backpressure(deps.settings.backpressureThreshold);
    this.#quiet = new QuietWatch({
      clock: deps.clock,
      onQuiet: (sample) => sink.event({ kind: 'quiet', sample }),
      behind: () => this.#line?.behind ?? false,
    });
  }

  attach(session: ListenSession, owner: PipelineOwner): void {
    const { clock, settings } = this.#deps;
    this.#session = session;
    this.#owner = owner;
    this.#line = new UtteranceLine({
      session,
      clock,
      asrTimeoutMs: settings.asrTimeoutMs,
      listener: {
        committed: (...facts) => this.#onCommitted(...facts),
        failed: (...facts) => this.#onFailed(...facts),
        holdInput: (hold) => {
          this.#lineHolds = hold;
          this.#tellHold();
        },
      },
    });
  }

  /** Something was said and is not told yet, or answered. That somebody could speak keeps nothing busy. */
  get busy(): boolean {
    return (this.#line?.busy ?? false) || (this.#agent?.busy ?? false);
  }

  /** A frame counts in the limits of its client, also one whose audio has to wait. Throws when it is one too many. */
  apply(command: ClientCommand): void {
    this.#session.count(command.kind);
    this.#perform(command);
  }

  #perform(command: ClientCommand): void {
    switch (command.kind) {
      case 'several':
        for (const one of command.commands) this.#perform(one);
        return;
      case 'listen':
        return this.#listen(command.options);
      case 'audio':
        if (!this.#finishing) this.#line?.push(command.pcm);
        return;
      case 'finalize':
        if (!this.#line?.commit('client')) throw new VoiceError('empty_commit');
        return;
      case 'clear':
        this.#sink.event({ kind: 'cleared', utteranceId: this.#line?.clear()?.id });
        return;
      case 'finish':
        return this.#finish();
      case 'respond':
      case 'stop-reply':
      case 'truncate-item':
      case 'add-item':
      case 'delete-item':
      case 'retrieve-item':
        if (!this.#agent) throw new VoiceError('unknown_message_type');
        return this.#agent.apply(command);
      case 'start':
        // Utterances are begun here.
        throw new VoiceError('unknown_message_type');
      case 'cancel':
      case 'end':
        this.#line?.clearAll();
        return this.#session.perform(command);
      default:
        return this.#session.perform(command);
    }
  }

  event(event: SessionEvent): void {
    switch (event.kind) {
      case 'partial':
        return this.#onPartial(event.utteranceId, event.tail);
      case 'final':
        return this.#onFinal(event);
      case 'error': {
        const utterance = this.#numbered(event.utteranceId);
        if (utterance !== undefined) return this.#onError(utterance, event.error);
        // Of one that was let go meanwhile.
        if (event.utteranceId === undefined) this.#sink.event(event);
        return;
      }
      default:
        return this.#sink.event(event);
    }
  }

  override end(reason: CloseReason): void {
    if (reason.kind === 'error' && reason.error === this.#failure) return;
    super.end(reason);
  }

  heard(utteranceId: string, words: readonly LinkWord[]): void {
    this.#numbered(utteranceId)?.hear(words);
  }

  speech(moment: 'started' | 'ended', utteranceId: string, sample: number): void {
    const utterance = this.#numbered(utteranceId);
    // Its end is found by now, or was never asked for.
    if (utterance === undefined || !utterance.open || utterance.silenceMs === undefined) return;
    const at = Math.min(utterance.at(sample), utterance.sentSample);
    if (moment === 'started') {
      // Another worker tells it again.
      if (utterance.beganSample !== undefined) return;
      utterance.beganSample = at;
      this.#quiet.speech();
      this.#sink.event({ kind: 'speech-began', utteranceId, sample: at });
      this.#agent?.onSpeechBegan();
    } else if (utterance.beganSample !== undefined) {
      this.#tellEnded(utterance, at);
      this.#line?.endpoint(utterance, at);
    }
  }

  onTaken(sample: number): void {
    if (!this.#stopped) this.#line?.onTaken(sample);
  }

  override workerLost(cause: string): void {
    super.workerLost(cause);
    this.#line?.onOrphaned(true);
  }

  override moved(...facts: Parameters<SessionSink['moved']>): void {
    super.moved(...facts);
    this.#line?.onOrphaned(false);
  }

  override holdInput(hold: boolean): void {
    this.#workerHolds = hold;
    this.#tellHold();
  }

  /** A slow reader is told words when their utterance is over, and replies are not read on. */
  onLoad(load: OutboxLoad): void {
    this.#backpressure.update(load);
  }

  async stop(): Promise<void> {
    this.#stopped = true;
    this.#quiet.stop();
    this.#line?.stop();
    this.#backpressure.open();
    await this.#agent?.stop();
  }

  #numbered(utteranceId: string | undefined): ListenUtterance | undefined {
    const first = this.#line?.first;
    return first?.id === utteranceId ? first : undefined;
  }

  /** Throws VoiceError for a model that the session has not; then all is as it was. */
  #listen(wish: ListenOptions): void {
    if (wish.model !== undefined) this.#session.expectMeant(wish.model);
    const options = optionsInForce(wish);
    const { endpointing, maxUtteranceMs, quietMs } = options;
    this.#line?.listen(endpointing?.silenceMs, maxUtteranceMs);
    this.#quiet.quietMs = quietMs;
    this.#setAgent(options);
    // What is in force is told in the order in which it was asked for.
    if (wish.delayMs === undefined && this.#wishes === 0) return this.#tellListening(options);
    this.#wishes += 1;
    this.#wished = this.#wished.then(() => this.#settle(wish.delayMs, options));
  }

  async #settle(wishMs: number | undefined, options: ListenOptions): Promise<void> {
    const delayMs =
      wishMs === undefined || this.#stopped ? undefined : await this.#session.wishDelay(wishMs);
    this.#wishes -= 1;
    if (this.#stopped) return;
    this.#tellListening({ ...options, ...(delayMs !== undefined && { delayMs }) });
    this.#endWhenDone();
  }

  #tellListening(options: ListenOptions): void {
    const { info: session } = this.#session;
    if (session) this.#sink.event({ kind: 'listening', session, options });
  }

  #setAgent({ agent, language }: ListenOptions): void {
    if (agent === undefined) {
      this.#agent?.apply({ kind: 'stop-reply' });
      this.#agent = undefined;
      return;
    }
    this.#agent ??= new Agent(this.#session.id, this.#owner, agent, this.#deps, {
      event: (event) => this.#sink.event(event),
      idle: () => this.#endWhenDone(),
      relief: () => this.#backpressure.relief,
    });
    this.#agent.options = agent;
    this.#agent.language = language;
  }

  #finish(): void {
    if (this.#finishing) return;
    this.#finishing = true;
    this.#line?.finish();
    this.#endWhenDone();
  }

  #onPartial(utteranceId: string, tail: string): void {
    const utterance = this.#numbered(utteranceId);
    if (utterance === undefined) return;
    if (utterance.hasFresh) this.#quiet.speech();
    else if (tail !== '') this.#quiet.guess();
    if (!this.#backpressure.active) this.#tellHeard(utterance, tail);
  }

  #tellHeard(utterance: ListenUtterance, tail: string): void {
    const words = utterance.takeFresh();
    this.#sink.event({ kind: 'heard', utteranceId: utterance.id, words, tail });
  }

  #onFinal({ utteranceId, text, usage }: Extract<SessionEvent, { kind: 'final' }>): void {
    const utterance = this.#numbered(utteranceId);
    if (utterance === undefined) return;
    this.#line?.onFinal(utterance);
    if (utterance.hasFresh) this.#tellHeard(utterance, '');
    const { words } = utterance;
    const told = text.trim();
    this.#sink.event({ kind: 'transcribed', utteranceId, text: told, words, usage });
    this.#onOver(utterance, told);
  }

  #onError(utterance: ListenUtterance, error: VoiceError): void {
    this.#failure = error;
    this.#line?.onFailed(utterance, error);
  }

  #onCommitted(utterance: ListenUtterance, toSample: number, cause: CommitCause): void {
    const { id: utteranceId, fromSample, beganSample, ended } = utterance;
    if (beganSample !== undefined && !ended) this.#tellEnded(utterance, toSample);
    this.#sink.event({ kind: 'committed', utteranceId, fromSample, toSample, cause });
    this.#agent?.onCommitted(utteranceId);
  }

  #onFailed(utterance: ListenUtterance, error: VoiceError, told: boolean): void {
    if (told) this.#sink.event({ kind: 'failed', utteranceId: utterance.id, error });
    this.#onOver(utterance, undefined);
  }

  #onOver({ id, words }: ListenUtterance, text: string | undefined): void {
    if (this.#stopped) return;
    this.#agent?.onOver(id, text);
    this.#quiet.over(words.at(-1)?.endSample, this.#line?.sentSample ?? 0);
    this.#line?.pump();
    this.#endWhenDone();
  }

  #tellEnded(utterance: ListenUtterance, sample: number): void {
    utterance.ended = true;
    this.#sink.event({ kind: 'speech-ended', utteranceId: utterance.id, sample });
  }

  #endWhenDone(): void {
    if (!this.#finishing || this.#wishes > 0 || this.#line?.first || this.#agent?.busy) return;
    this.#session.perform({ kind: 'end' });
  }

  #tellHold(): void {
    super.holdInput(this.#workerHolds || this.#lineHolds);
  }
}
