import { type Clock, sleep } from '@voice-fleet/runtime/clock';
import { SAMPLE_RATE } from '@voice-fleet/speech/pcm';
import { TranscriptJoiner } from '@voice-fleet/speech/transcript-joiner';
import type { Word } from '@voice-fleet/speech/words';
import { type EngineEvent, StreamFault, type VoiceState } from '../engines/engine.ts';
import type { UtteranceEngine } from '../engines/traced-engine.ts';
import { asFault } from './as-fault.ts';
import { AudioSource } from './audio-source.ts';
import type { CatchUp } from './catch-up.ts';
import { CatchUpLane } from './catch-up-lane.ts';
import { EngineWait } from './engine-wait.ts';
import { Patience } from './patience.ts';
import { RecoveryBudget } from './recovery-budget.ts';
import type { Resume } from './resume.ts';
import type { RunnerListener } from './runner-listener.ts';
import { Segment } from './segment.ts';
import type { SegmentPlan } from './segment-plan.ts';
import { SETTLE_SAMPLES, SettledMark } from './settled-mark.ts';

/** A speaker this long quiet is between words: 300 ms. */
const PAUSE_SAMPLES = 0.3 * SAMPLE_RATE;

export interface RunnerSettings {
  readonly plan: SegmentPlan;
  /** 0 drops nothing. */
  readonly maxBacklogSamples: number;
  readonly finishTimeoutMs: number;
  /** An utterance without new audio for so long has its segment settled: engines do not bear an idle one. */
  readonly quietTimeoutMs: number;
  readonly recovery: {
    /** Faults in a row that are answered with a new stream; the next fails the utterance. */
    readonly maxAttempts: number;
    /** Audio before the last trusted word that a new stream hears again. */
    readonly overlapSamples: number;
    /** Audio kept for a replay, and that may wait meanwhile. */
    readonly replaySamples: number;
  };
}

export interface RunnerDeps {
  readonly engine: UtteranceEngine;
  readonly voice: VoiceState;
  readonly sessionId: string;
  readonly utterance: number;
  readonly clock: Clock;
  readonly settings: RunnerSettings;
  readonly listener: RunnerListener;
  /** Whose turn it is to catch up; absent: everybody's. */
  readonly catchUp?: CatchUp | undefined;
}

/**
 * One utterance: audio in, settled words out, over as many engine segments as it takes. A segment whose stream fails is
 * followed by one that hears the same audio again. Tells exactly one final or failure, or nothing after `cancel`.
 */
export class UtteranceRunner {
  readonly #deps: RunnerDeps;
  readonly #source: AudioSource;
  readonly #joiner: TranscriptJoiner;
  readonly #budget: RecoveryBudget;
  readonly #quiet: Patience;
  readonly #lane: CatchUpLane;
  readonly #settled: SettledMark;
  readonly #cancelled = new AbortController();
  #segment: Segment | undefined;
  #wait: EngineWait | undefined;
  /** What the present segment's stream failed of. */
  #fault: { readonly error: unknown } | undefined;
  /** All words before this, on the session clock, are with the joiner. */
  #heardSample: number;
  /** While audio is heard a second time: up to where, and since when. */
  #recovering: { readonly untilSample: number; readonly sinceMs: number } | undefined;
  #finishing = false;
  #over = false;
  #wake: (() => void) | undefined;
  #promptTokens = 0;
  #completionTokens = 0;

  /** `fromSample` is where the audio to come begins: with `resume`, some of what was heard before. */
  constructor(fromSample: number, deps: RunnerDeps, resume?: Resume) {
    this.#deps = deps;
    const { liveSample = fromSample } = resume ?? {};
    this.#heardSample = Math.max(fromSample, resume?.heardSample ?? fromSample);
    const heardAgain = this.#heardSample - fromSample;
    const { plan, maxBacklogSamples, recovery } = deps.settings;
    const { timeErrorSamples } = deps.engine.capabilities;
    const replaySamples = Math.max(recovery.replaySamples, plan.overlapSamples);
    this.#source = new AudioSource({ fromSample, liveSample, maxBacklogSamples, replaySamples });
    this.#joiner = new TranscriptJoiner({
      overlapSamples: plan.overlapSamples,
      maxOverlapSamples: Math.max(recovery.overlapSamples, heardAgain),
      ...(timeErrorSamples ? { timeErrorSamples } : {}),
    });
    this.#budget = new RecoveryBudget(recovery.maxAttempts);
    this.#quiet = new Patience(deps.clock, deps.settings.quietTimeoutMs, () => this.#wake?.());
    this.#lane = new CatchUpLane(this.#source, deps.catchUp, () => this.#wake?.());
    this.#settled = new SettledMark(deps.engine.capabilities, this.#source, this.#heardSample);
    if (resume) {
      this.#joiner.resume(resume.words, this.#heardSample, heardAgain);
      this.#lane.expectReplay();
    }
    void this.#run();
  }

  push(pcm: Buffer): void {
    if (this.#over || this.#finishing) return;
    const dropped = this.#source.push(pcm);
    if (dropped > 0) {
      this.#deps.listener.onDropped(dropped);
      this.#deps.listener.onTaken(this.#source.readSample, 0);
    }
    this.#wake?.();
  }

  finish(): void {
    this.#finishing = true;
    this.#wake?.();
  }

  cancel(): void {
    const reason = new Error('the utterance was cancelled');
    this.#end(reason);
    this.#segment?.abort();
    this.#cancelled.abort(reason);
    this.#wake?.();
  }

  async #run(): Promise<void> {
    try {
      while (await this.#hasWork()) await this.#runSegment().catch((error) => this.#recover(error));
      if (this.#over) return;
      this.#end(new Error('the utterance is over'));
      const usage = { promptTokens: this.#promptTokens, completionTokens: this.#completionTokens };
      this.#deps.listener.onFinal(this.#joiner.end(), usage);
    } catch (error) {
      if (this.#over) return;
      this.#end(error);
      this.#deps.listener.onFailed(error);
    }
  }

  #end(cause: unknown): void {
    this.#over = true;
    this.#wait?.end(cause);
    this.#quiet.close();
    this.#lane.leave(false);
    this.#source.clear();
  }

  /** Settles with true when a segment is needed, with false when none will be. */
  async #hasWork(): Promise<boolean> {
    const unheard = this.#recovering !== undefined && this.#heardSample < this.#source.endSample;
    if (unheard && !this.#over) return true;
    return (await this.#hasAudio()) && !this.#over;
  }

  /** Settles with true when new audio waits; with false when there will be none, or when a segment has waited too long for it. */
  async #hasAudio(): Promise<boolean> {
    if (this.#over) return false;
    // To an engine that goes on by itself a new stream costs more than an idle one.
    const bounded = this.#segment !== undefined && !this.#deps.engine.capabilities.endless;
    if (bounded) this.#quiet.start();
    while (!this.#over && this.#source.freshSamples === 0) {
      if (this.#fault) throw this.#fault.error;
      if (this.#finishing || (bounded && !this.#quiet.waiting)) break;
      await new Promise<void>((resolve) => {
        this.#wake = resolve;
      });
    }
    this.#wake = undefined;
    this.#quiet.stop();
    return !this.#over && this.#source.freshSamples > 0;
  }

  async #runSegment(): Promise<void> {
    const { engine, voice, sessionId, utterance, clock, settings, listener } = this.#deps;
    this.#fault = undefined;
    const wait = new EngineWait(clock, settings.finishTimeoutMs);
    this.#wait = wait;
    const segment = new Segment(
      engine.open(voice, { sessionId, utterance, attempt: this.#budget.attempt }),
    );
    this.#segment = segment;
    const ended = this.#read(segment);
    ended.catch((error: unknown) => {
      if (this.#segment !== segment) return;
      // A stream that failed may never settle the write under way, and there may be none.
      this.#fault = { error };
      wait.end(error);
      this.#wake?.();
    });
    await this.#feed(segment, wait);
    if (this.#over) return;
    segment.finish();
    await wait.until(ended);
    wait.end(new Error('the segment is over'));
    this.#segment = undefined;
    if (this.#over) return;
    // Behind it audio may have been dropped since.
    const rollAt = Math.min(this.#source.cursor, this.#source.endSample);
    this.#hear(rollAt);
    if (this.#finishing && this.#source.samples === 0) return;
    listener.onSegmentRolled();
    // A pause that long holds no word to hear twice.
    const { pauseSamples } = this.#source;
    const overlap = pauseSamples >= PAUSE_SAMPLES ? pauseSamples : Number.POSITIVE_INFINITY;
    this.#startAgain(rollAt, Math.min(settings.plan.overlapSamples, overlap));
  }

  /** Gives the segment audio until it is full, or the speaker pauses, or there is no more. */
  async #feed(segment: Segment, wait: EngineWait): Promise<void> {
    const { segmentSamples, pauseFromSamples } = this.#deps.settings.plan;
    let expected = 0;
    while (segment.samples < segmentSamples) {
      if (segment.samples >= pauseFromSamples && this.#source.pauseSamples >= PAUSE_SAMPLES) return;
      if (this.#source.samples === 0 && !(await this.#hasAudio())) return;
      if (!this.#admitted) await this.#turn();
      if (this.#over) return;
      const fromSample = this.#source.cursor;
      const pcm = this.#source.read(segmentSamples - segment.samples);
      if (pcm === undefined) continue;
      // Words of the coming overlap wait; where it lies is known unless audio is dropped before.
      const rollAt = fromSample + segmentSamples - segment.samples;
      if (rollAt !== expected && Number.isFinite(rollAt)) {
        this.#show(this.#joiner.expectRollAt(rollAt), '');
        expected = rollAt;
      }
      const sinceMs = this.#deps.clock.now();
      await wait.until(segment.write(pcm, fromSample));
      this.#onTaken(fromSample + (pcm.length >> 1), this.#deps.clock.now() - sinceMs);
    }
    // Full, and nothing more said yet: the next audio or the end decides whether this was the last segment.
    if (!this.#over && this.#source.samples === 0) await this.#hasAudio();
  }

  /** Utterances that are behind give their engine audio in turns; see CatchUp. */
  get #admitted(): boolean {
    return this.#lane.admits(this.#recovering !== undefined);
  }

  /** Settles when it is this utterance's turn, or it is over. */
  async #turn(): Promise<void> {
    while (!this.#over && !this.#admitted) {
      if (this.#fault) throw this.#fault.error;
      await new Promise<void>((resolve) => {
        this.#wake = resolve;
      });
    }
    this.#wake = undefined;
  }

  #onTaken(untilSample: number, tookMs: number): void {
    this.#deps.listener.onTaken(this.#source.readSample, tookMs);
    // Behind that a seam need not wait for more words.
    if (!this.#deps.engine.capabilities.tellsHeard)
      this.#show(this.#joiner.progress(untilSample - SETTLE_SAMPLES), '');
    this.#lane.onTaken(this.#recovering !== undefined);
    this.#settle();
  }

  #settle(): void {
    if (this.#settled.raise(this.#heardSample, this.#joiner.heldFrom))
      this.#deps.listener.onSettled?.(this.#settled.sample);
  }

  async #read(segment: Segment): Promise<void> {
    for await (const event of segment.events) {
      // What a failed stream had said and was not read yet is heard again in the next.
      if (this.#over || this.#segment !== segment) return;
      if (event.kind === 'end') return this.#count(event);
      if (event.kind === 'heard') {
        this.#hear(segment.toSession(event.untilSample));
        this.#show(this.#joiner.progress(segment.toSession(event.untilSample)), '');
      } else {
        const words = segment.onSessionClock(event.words);
        this.#settled.onWords(words.length, event.tail);
        this.#show(this.#joiner.words(words), event.tail);
        this.#hear(words.at(-1)?.endSample ?? 0);
      }
      this.#settle();
    }
    if (!this.#over)
      throw new StreamFault('done', 'the engine ended a segment without its last words');
  }

  #count(usage: Extract<EngineEvent, { kind: 'end' }>): void {
    this.#promptTokens += usage.promptTokens;
    this.#completionTokens += usage.completionTokens;
  }

  #hear(untilSample: number): void {
    const sample = Math.min(untilSample, this.#source.readSample);
    if (sample <= this.#heardSample) return;
    this.#heardSample = sample;
    this.#budget.heard(sample);
    this.#onProgress();
  }

  #onProgress(): void {
    if (!this.#recovering || this.#heardSample < this.#recovering.untilSample) return;
    this.#deps.listener.onRecovered(this.#deps.clock.now() - this.#recovering.sinceMs);
    this.#recovering = undefined;
  }

  /** Lets the next segment begin before the first audio that was not heard for sure; throws when there is to be none. */
  async #recover(error: unknown): Promise<void> {
    const { clock, settings, listener } = this.#deps;
    const segment = this.#segment;
    this.#segment = undefined;
    this.#fault = undefined;
    this.#wait?.end(error);
    segment?.abort();
    this.#lane.leave(false);
    if (this.#over) return;
    const fault = asFault(error);
    if (segment && fault.trustedSample !== undefined)
      this.#heardSample = Math.min(this.#heardSample, segment.toSession(fault.trustedSample));
    const delayMs = fault.retryable ? this.#budget.spend(this.#heardSample) : undefined;
    const { attempt } = this.#budget;
    const recovering = delayMs !== undefined;
    listener.onFault({ cause: fault.fault, message: fault.message, attempt, recovering });
    if (!recovering) throw fault;
    this.#recovering = {
      untilSample: Math.max(this.#source.endSample, this.#recovering?.untilSample ?? 0),
      sinceMs: this.#recovering?.sinceMs ?? clock.now(),
    };
    this.#lane.expectReplay();
    this.#startAgain(this.#heardSample, settings.recovery.overlapSamples);
    // Perhaps only the end was missing.
    this.#onProgress();
    if (delayMs > 0) await sleep(clock, delayMs, this.#cancelled.signal);
  }

  /** The next segment continues from `sample`, and hears audio before it again. */
  #startAgain(sample: number, overlapSamples: number): void {
    const lost = this.#source.rewind(sample - overlapSamples, sample);
    if (lost > 0) this.#deps.listener.onDropped(lost);
    this.#show(this.#joiner.roll(sample, Math.max(0, sample - this.#source.cursor)), '');
    this.#settled.startAgain(sample);
    this.#settle();
  }

  #show(words: readonly Word[], tail: string): void {
    if (words.length > 0 || tail !== '') this.#deps.listener.onWords(words, tail);
  }
}
