import { VoiceError } from '@voice-fleet/protocol/errors';
import type { CommitCause } from '@voice-fleet/protocol/session';
import type { Clock, Timer } from '@voice-fleet/runtime/clock';
import { BYTES_PER_SAMPLE, msToSamples } from '@voice-fleet/speech/pcm';
import type { Session } from '../session/session.ts';
import { EngineDeadline } from './engine-deadline.ts';
import { MAX_UTTERANCE_MS } from './listen-options.ts';
import { ListenUtterance } from './listen-utterance.ts';
import { PauseCut } from './pause-cut.ts';
import { RetryPause } from './retry-pause.ts';
import { MAX_FRAME_S, WaitingAudio } from './waiting-audio.ts';

/** An endpoint is told so soon when its audio comes as it is spoken. What came behind it since is no matter then. */
const PROMPT_SAMPLES = msToSamples(150);
/** In so small pieces audio is looked through for a pause. */
const STEP_SAMPLES = msToSamples(20);
/** An utterance in which nothing was said keeps no session busy when no audio comes for so long. */
const IDLE_MS = 20_000;
/** Of a longer frame the beginning might be let go, while what came before it waits. */
const MAX_FRAME_SAMPLES = msToSamples(MAX_FRAME_S * 1000);

/** The part of a session that a line uses. */
export type LineSession = Pick<Session, 'perform' | 'finish' | 'drop' | 'totals'>;

export interface LineListener {
  committed(utterance: ListenUtterance, toSample: number, cause: CommitCause): void;
  /** `told`: its client knows of it. */
  failed(utterance: ListenUtterance, error: VoiceError, told: boolean): void;
  /** Too much waits (true), or no longer. */
  holdInput(hold: boolean): void;
}

export interface LineOptions {
  readonly session: LineSession;
  readonly clock: Clock;
  /** An utterance whose engine takes nothing, or gives no final, for so long has failed. */
  readonly asrTimeoutMs: number;
  readonly listener: LineListener;
}

/**
 * The utterances of a listening session in order. The session has room for the first; of the others the audio is held, and so
 * is what the engine does not take fast enough.
 */
export class UtteranceLine {
  readonly #options: LineOptions;
  readonly #utterances: ListenUtterance[] = [];
  #silenceMs: number | undefined;
  #maxSamples = msToSamples(MAX_UTTERANCE_MS);
  #receivedSample = 0;
  readonly #waiting: WaitingAudio;
  readonly #pauseCut: PauseCut;
  readonly #pause: RetryPause;
  readonly #deadline: EngineDeadline;
  #idle: Timer | undefined;
  #audioMs = 0;
  /** No more audio comes. */
  #over = false;
  #stopped = false;

  constructor(options: LineOptions) {
    this.#options = options;
    this.#pause = new RetryPause(options.clock, () => this.pump());
    this.#deadline = new EngineDeadline(options.clock, options.asrTimeoutMs, () => {
      if (this.first) this.onFailed(this.first, new VoiceError('asr_timeout'));
    });
    this.#waiting = new WaitingAudio((hold) => options.listener.holdInput(hold));
    this.#pauseCut = new PauseCut(options.clock, (utterance, cause) => this.#cut(utterance, cause));
  }

  /** The utterance that the session has, or will have next. */
  get first(): ListenUtterance | undefined {
    return this.#utterances[0];
  }

  /** The one that takes audio. */
  get open(): ListenUtterance | undefined {
    const last = this.#utterances.at(-1);
    return last?.open ? last : undefined;
  }

  /** All audio before this was given to the session, or let go. */
  get sentSample(): number {
    return this.first?.sentSample ?? this.#receivedSample;
  }

  /** Audio waits. */
  get behind(): boolean {
    return this.sentSample < this.#receivedSample;
  }

  /** Something was said that is not over yet. */
  get busy(): boolean {
    return this.#utterances.some(({ counts }) => counts);
  }

  /**
   * How utterances end from now on. The session goes on with one as it was begun: another silence is that of the next, and
   * one that nobody listens to is cut here, as its end would not be found.
   */
  listen(silenceMs: number | undefined, maxUtteranceMs = MAX_UTTERANCE_MS): void {
    this.#silenceMs = silenceMs;
    this.#maxSamples = msToSamples(maxUtteranceMs);
    const { open } = this;
    if (open === undefined) return;
    const unwatched = open.phase === 'begun' && open.silenceMs === undefined;
    if (!unwatched) open.silenceMs = silenceMs;
    else if (silenceMs !== undefined) this.#cut(open, 'length');
  }

  push(pcm: Buffer): void {
    const samples = pcm.length / BYTES_PER_SAMPLE;
    if (samples === 0) return;
    if (samples > MAX_FRAME_SAMPLES)
      throw new VoiceError('message_too_large', { details: { max_seconds: MAX_FRAME_S } });
    this.#audioMs = this.#options.clock.now();
    const open = this.open ?? this.#add(this.#receivedSample);
    const caughtUp = open === this.first && open.sentSample === this.#receivedSample;
    const fits = (): boolean => samples <= Math.min(open.room, open.left(this.#maxSamples));
    if (caughtUp && !this.#pauseCut.due && this.#begun(open) && fits()) {
      this.#receivedSample += samples;
      this.#send(open, pcm);
      return this.#checkLength(open);
    }
    this.#waiting.push(pcm, this.#receivedSample);
    this.#receivedSample += samples;
    this.pump();
  }

  /** The open utterance is over, with all that was received. False: none is open. */
  commit(cause: CommitCause): boolean {
    const { open } = this;
    if (open === undefined) return false;
    this.#end(open, this.#receivedSample, cause);
    this.pump();
    return true;
  }

  /** No more audio comes: what waits is still cut where its speaker pauses. */
  finish(): void {
    if (this.#silenceMs === undefined) return void this.commit('finish');
    this.#over = true;
    this.pump();
  }

  /** The first utterance's speaker is silent since `sample`. */
  endpoint(utterance: ListenUtterance, sample: number): void {
    const since = sample + msToSamples(utterance.silenceMs ?? 0);
    if (utterance.sentSample - since <= PROMPT_SAMPLES) this.#cut(utterance, 'endpoint');
    else this.#pauseCut.begin(utterance, 'endpoint');
  }

  /** Lets the open utterance go, and returns it. */
  clear(): ListenUtterance | undefined {
    const { open } = this;
    if (open === undefined) return undefined;
    this.#utterances.pop();
    if (open.phase === 'begun') this.#options.session.drop();
    this.#settle();
    return open;
  }

  /** Lets all go. */
  clearAll(): void {
    this.#utterances.length = 0;
    this.#settle();
  }

  /** The engine has taken all audio before `sample` of the session's clock. */
  onTaken(sample: number): void {
    const { first } = this;
    if (!first?.take(sample)) return;
    if (first.phase === 'begun') this.#deadline.met();
    this.pump();
  }

  /** The first utterance's final has come. */
  onFinal(utterance: ListenUtterance): void {
    if (utterance.open) this.#end(utterance, utterance.sentSample, 'finish');
    this.#pause.succeeded();
    this.#utterances.shift();
    this.#settle();
  }

  /** The first utterance comes to nothing; what was not given to the session yet is heard in the next. */
  onFailed(utterance: ListenUtterance, error: VoiceError): void {
    const { session, listener } = this.#options;
    const told = utterance.counts;
    if (utterance.open)
      this.#end(
        utterance,
        utterance.sentSample,
        utterance.silenceMs === undefined ? 'length' : 'endpoint',
        told,
      );
    this.#utterances.shift();
    session.drop();
    this.#pause.failed();
    this.#settle();
    listener.failed(utterance, error, told);
  }

  /** The session has lost its worker (true), or has another. */
  onOrphaned(orphaned: boolean): void {
    this.#deadline.orphan(orphaned);
    if (!orphaned) this.pump();
  }

  stop(): void {
    this.#stopped = true;
    this.#pause.stop();
    this.#deadline.met();
    this.#pauseCut.stop();
    this.#idle?.cancel();
    this.#utterances.length = 0;
  }

  /** Gives the session what it has room for. */
  pump(): void {
    for (let first = this.first; first !== undefined; first = this.first) {
      if (!this.#begun(first)) break;
      this.#checkLength(first);
      this.#sendHeld(first);
      if (first !== this.first || first.phase === 'finishing') continue;
      if (this.#over && first.open && !this.behind)
        this.#end(first, this.#receivedSample, 'finish');
      if (first.sentSample === first.toSample) this.#finish(first);
      else break;
    }
    this.#watch();
    this.#waiting.forgetBefore(this.sentSample, this.#receivedSample);
  }

  #add(fromSample: number): ListenUtterance {
    const utterance = new ListenUtterance(fromSample, this.#silenceMs);
    this.#utterances.push(utterance);
    this.#idle ??= this.#options.clock.every(IDLE_MS, () => this.#checkIdle());
    return utterance;
  }

  /** The session takes its audio: begins it when there is room. */
  #begun(utterance: ListenUtterance): boolean {
    if (this.#stopped || this.#pause.on) return false;
    if (utterance.phase !== 'waiting') return utterance.phase === 'begun';
    const { session } = this.#options;
    const { id: utteranceId, silenceMs } = utterance;
    const silence = silenceMs === undefined ? {} : { silenceMs };
    session.perform({ kind: 'start', utteranceId, ...silence });
    utterance.begin(session.totals.acceptedSamples);
    return true;
  }

  #sendHeld(utterance: ListenUtterance): void {
    if (utterance.phase !== 'begun') return;
    const lost = this.#waiting.fromSample - utterance.sentSample;
    if (lost > 0) {
      utterance.sentSample += lost;
      utterance.lose(lost);
    }
    for (const piece of this.#waiting.pieces(utterance.sentSample)) {
      for (let at = 0; at < piece.length; ) {
        const end = utterance.toSample ?? this.#receivedSample;
        const most = Math.min(
          (piece.length - at) / BYTES_PER_SAMPLE,
          end - utterance.sentSample,
          utterance.room,
          this.#pauseCut.due ? STEP_SAMPLES : utterance.left(this.#maxSamples),
        );
        if (most <= 0) return;
        const next = at + most * BYTES_PER_SAMPLE;
        this.#send(utterance, piece.subarray(at, next));
        at = next;
        this.#checkLength(utterance);
        // It may have ended or failed with that.
        if (this.first !== utterance || utterance.phase !== 'begun') return;
      }
    }
  }

  #send(utterance: ListenUtterance, pcm: Buffer): void {
    const { session } = this.#options;
    const samples = pcm.length / BYTES_PER_SAMPLE;
    // Before it is: the session may fail the utterance with that.
    utterance.sentSample += samples;
    utterance.listenTo(pcm);
    try {
      session.perform({ kind: 'audio', utteranceId: undefined, pcm });
    } catch (error) {
      utterance.lose(samples);
      // The session has ended the utterance itself, as it must end.
      if (!(error instanceof VoiceError)) throw error;
    }
  }

  /** Ends it when it is as long as it may be, or a pause was waited for. */
  #checkLength(utterance: ListenUtterance): void {
    if (!utterance.open) return;
    if (this.#pauseCut.due) this.#pauseCut.look(utterance);
    else if (utterance.left(this.#maxSamples) <= 0) this.#pauseCut.begin(utterance, 'length');
  }

  /** The first utterance is over with what the session has of it. */
  #cut(utterance: ListenUtterance, cause: CommitCause): void {
    if (utterance !== this.first || !utterance.open) return;
    this.#end(utterance, utterance.sentSample, cause);
    this.pump();
  }

  /** No more audio belongs to it. What was received since becomes the next. */
  #end(utterance: ListenUtterance, toSample: number, cause: CommitCause, told = true): void {
    if (utterance === this.first) this.#pauseCut.stop();
    utterance.toSample = toSample;
    if (toSample < this.#receivedSample) this.#add(toSample);
    if (told) this.#options.listener.committed(utterance, toSample, cause);
  }

  #finish(utterance: ListenUtterance): void {
    if (utterance.phase !== 'begun') return;
    utterance.phase = 'finishing';
    this.#deadline.met();
    this.#options.session.finish();
  }

  /** The first utterance may be another one now. */
  #settle(): void {
    this.#deadline.met();
    this.#pauseCut.stop();
    this.#waiting.forgetBefore(this.sentSample, this.#receivedSample);
  }

  #watch(): void {
    const { first } = this;
    if (first === undefined || this.#stopped) return;
    if (first.phase === 'finishing' || (first.phase === 'begun' && first.room <= 0))
      this.#deadline.wait();
  }

  #checkIdle(): void {
    const { first } = this;
    if (first === undefined || first.counts || first.phase !== 'begun' || this.behind) return;
    if (this.#options.clock.now() - this.#audioMs >= IDLE_MS) this.clear();
  }
}
