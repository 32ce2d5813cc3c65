import { VoiceError } from '@voice-fleet/protocol/errors';
import type { CommitCause } from '@voice-fleet/protocol/session';
import type { Clock, Timer } from '@voice-fleet/runtime/clock';
import { BYTES_PER_SAMPLE, msToSamples, SAMPLE_RATE } from '@voice-fleet/speech/pcm';
import { ReplayBuffer } from '@voice-fleet/speech/replay-buffer';
import type { Session } from '../session/session.ts';
import { MAX_UTTERANCE_MS } from './listen-options.ts';
import { ListenUtterance } from './listen-utterance.ts';
import { RetryPause } from './retry-pause.ts';

/** With so much audio waiting the client is not read until half of it is gone: 60 s. */
const HELD_SAMPLES = 60 * SAMPLE_RATE;
/** What is read all the same; the longest frame is half of it. */
const SLACK_SAMPLES = 64 * SAMPLE_RATE;
/** An utterance in which nothing was said keeps no session busy when no audio comes for so long. */
const IDLE_MS = 20_000;

/** The part of a session that a line uses. */
export type LineSession = Pick<Session, 'apply' | 'perform' | 'finish' | 'drop' | 'totals'>;

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
  /** All that was received from some sample on. */
  #held: ReplayBuffer | undefined;
  #holding = false;
  readonly #pause: RetryPause;
  /** For the first utterance, which waits for its engine. */
  #deadline: Timer | undefined;
  #idle: Timer | undefined;
  #audioMs = 0;
  #orphaned = false;
  #stopped = false;

  constructor(options: LineOptions) {
    this.#options = options;
    this.#pause = new RetryPause(options.clock, () => this.pump());
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
    else if (silenceMs !== undefined) this.cut(open, 'length');
  }

  push(pcm: Buffer): void {
    const samples = pcm.length / BYTES_PER_SAMPLE;
    if (samples === 0) return;
    this.#audioMs = this.#options.clock.now();
    const open = this.open ?? this.#add(this.#receivedSample);
    const caughtUp = open === this.first && open.sentSample === this.#receivedSample;
    if (
      caughtUp &&
      this.#begun(open) &&
      samples <= Math.min(open.room, open.left(this.#maxSamples))
    ) {
      this.#receivedSample += samples;
      this.#sendFrame(open, pcm);
      return this.#checkLength(open);
    }
    this.#held ??= new ReplayBuffer(HELD_SAMPLES + SLACK_SAMPLES, this.#receivedSample);
    this.#held.append(pcm);
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

  /** The first utterance is over with what the session has of it. */
  cut(utterance: ListenUtterance, cause: CommitCause): void {
    this.#end(utterance, utterance.sentSample, cause);
    this.pump();
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
    if (first.phase === 'begun') this.#patient();
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

  /** The session has no worker, and sees to that itself. */
  onOrphaned(): void {
    this.#orphaned = true;
    this.#patient();
  }

  onMoved(): void {
    this.#orphaned = false;
    this.#patient();
    this.pump();
  }

  stop(): void {
    this.#stopped = true;
    this.#pause.stop();
    this.#patient();
    this.#idle?.cancel();
    this.#utterances.length = 0;
    this.#held = undefined;
  }

  /** Gives the session what it has room for. */
  pump(): void {
    for (let first = this.first; first !== undefined; first = this.first) {
      if (!this.#begun(first)) break;
      this.#checkLength(first);
      this.#sendHeld(first);
      if (first !== this.first || first.phase === 'finishing') continue;
      if (first.sentSample === first.toSample) this.#finish(first);
      else break;
    }
    this.#watch();
    this.#checkHeld();
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
    session.perform({
      kind: 'start',
      utteranceId,
      ...(silenceMs !== undefined && { silenceMs }),
    });
    utterance.begin(session.totals.acceptedSamples);
    return true;
  }

  #sendHeld(utterance: ListenUtterance): void {
    const held = this.#held;
    if (held === undefined || utterance.phase !== 'begun') return;
    const lost = held.fromSample - utterance.sentSample;
    if (lost > 0) {
      utterance.sentSample += lost;
      utterance.lose(lost);
    }
    for (const piece of held.pieces(utterance.sentSample)) {
      const end = utterance.toSample ?? this.#receivedSample;
      const most = Math.min(
        piece.length / BYTES_PER_SAMPLE,
        end - utterance.sentSample,
        utterance.room,
        utterance.left(this.#maxSamples),
      );
      if (most <= 0) break;
      this.#send(utterance, piece.subarray(0, most * BYTES_PER_SAMPLE));
      this.#checkLength(utterance);
      // All of the piece, or the rest of it comes with its turn.
      if (most < piece.length / BYTES_PER_SAMPLE || this.first !== utterance) break;
    }
    if (this.sentSample === this.#receivedSample) this.#held = undefined;
    else this.#held?.forgetBefore(this.sentSample);
  }

  /** A frame counts in the limits of its client. Throws when it is one too many: it is let go. */
  #sendFrame(utterance: ListenUtterance, pcm: Buffer): void {
    const samples = pcm.length / BYTES_PER_SAMPLE;
    try {
      utterance.sentSample += samples;
      this.#options.session.apply({ kind: 'audio', utteranceId: undefined, pcm });
    } catch (error) {
      utterance.lose(samples);
      throw error;
    }
  }

  #send(utterance: ListenUtterance, pcm: Buffer): void {
    utterance.sentSample += pcm.length / BYTES_PER_SAMPLE;
    this.#options.session.perform({ kind: 'audio', utteranceId: undefined, pcm });
  }

  #checkLength(utterance: ListenUtterance): void {
    if (!utterance.open || utterance.left(this.#maxSamples) > 0) return;
    this.#end(utterance, utterance.sentSample, 'length');
    this.#finish(utterance);
    this.#watch();
  }

  /** No more audio belongs to it. What was received since becomes the next. */
  #end(utterance: ListenUtterance, toSample: number, cause: CommitCause, told = true): void {
    utterance.toSample = toSample;
    if (toSample < this.#receivedSample) this.#add(toSample);
    if (told) this.#options.listener.committed(utterance, toSample, cause);
  }

  #finish(utterance: ListenUtterance): void {
    if (utterance.phase !== 'begun') return;
    utterance.phase = 'finishing';
    this.#patient();
    this.#options.session.finish();
  }

  /** The first utterance may be another one now. */
  #settle(): void {
    this.#patient();
    if (this.first === undefined) this.#held = undefined;
    else this.#held?.forgetBefore(this.first.sentSample);
    this.#checkHeld();
  }

  #patient(): void {
    this.#deadline?.cancel();
    this.#deadline = undefined;
  }

  /** Bounds how long the first utterance waits for its engine. */
  #watch(): void {
    const { first } = this;
    if (first === undefined || this.#orphaned || this.#stopped) return;
    const waits = first.phase === 'finishing' || (first.phase === 'begun' && first.room <= 0);
    if (!waits) return;
    const { clock, asrTimeoutMs } = this.#options;
    this.#deadline ??= clock.after(asrTimeoutMs, () => {
      this.#deadline = undefined;
      if (this.first === first) this.onFailed(first, new VoiceError('asr_timeout'));
    });
  }

  #checkHeld(): void {
    const waiting = this.#receivedSample - this.sentSample;
    const hold = waiting > (this.#holding ? HELD_SAMPLES / 2 : HELD_SAMPLES);
    if (hold === this.#holding) return;
    this.#holding = hold;
    this.#options.listener.holdInput(hold);
  }

  #checkIdle(): void {
    const { first } = this;
    if (first === undefined || first.counts || first.phase !== 'begun' || this.behind) return;
    if (this.#options.clock.now() - this.#audioMs >= IDLE_MS) this.clear();
  }
}
