import { type Clock, sleep } from '@voice-fleet/runtime/clock';
import { SAMPLE_RATE } from '@voice-fleet/speech/pcm';
import { TranscriptJoiner } from '@voice-fleet/speech/transcript-joiner';
import type { Word } from '@voice-fleet/speech/words';
import {
  type AsrEngine,
  type EngineEvent,
  type FaultCause,
  StreamFault,
  type VoiceState,
} from '../engines/engine.ts';
import { AudioSource } from './audio-source.ts';
import { EngineWait } from './engine-wait.ts';
import { Patience } from './patience.ts';
import { RecoveryBudget } from './recovery-budget.ts';
import { Segment } from './segment.ts';
import type { SegmentPlan } from './segment-plan.ts';

/** Engines that do not tell settle a word well within this after they took its audio; behind it a seam need not wait for more words. */
const SETTLE_SAMPLES = 2 * SAMPLE_RATE;
/** A speaker this long quiet is between words: 300 ms. */
const PAUSE_SAMPLES = 0.3 * SAMPLE_RATE;
/** An utterance that starts over has caught up when so little waits. */
const CAUGHT_UP_SAMPLES = SAMPLE_RATE;

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

export interface RunnerUsage {
  readonly promptTokens: number;
  readonly completionTokens: number;
}

/** A stream that failed under way. */
export interface RunnerFault {
  readonly cause: FaultCause;
  /** For logs: how, in the engine's words. */
  readonly message: string;
  /** Faults in a row, this one included. */
  readonly attempt: number;
  /** False: this was one too many, and the utterance fails. */
  readonly recovering: boolean;
}

/** What a runner tells its owner. Word times are on the session clock. */
export interface RunnerListener {
  onWords(words: readonly Word[], tail: string): void;
  onFinal(words: readonly Word[], usage: RunnerUsage): void;
  onDropped(samples: number): void;
  onFailed(cause: unknown): void;
  /** The engine has taken audio up to this sample, or it was dropped. */
  onTaken(untilSample: number): void;
  onSegmentRolled(): void;
  onFault(fault: RunnerFault): void;
  /** A new stream has heard all that the one which failed had, `latencyMs` after the first fault. */
  onRecovered(latencyMs: number): void;
}

export interface RunnerDeps {
  readonly engine: AsrEngine;
  readonly voice: VoiceState;
  readonly sessionId: string;
  readonly utterance: number;
  readonly clock: Clock;
  readonly settings: RunnerSettings;
  readonly listener: RunnerListener;
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

  constructor(fromSample: number, deps: RunnerDeps) {
    this.#deps = deps;
    const { plan, maxBacklogSamples, recovery } = deps.settings;
    const { timeErrorSamples } = deps.engine.capabilities;
    const replaySamples = Math.max(recovery.replaySamples, plan.overlapSamples);
    this.#source = new AudioSource({ fromSample, maxBacklogSamples, replaySamples });
    this.#joiner = new TranscriptJoiner({
      overlapSamples: plan.overlapSamples,
      maxOverlapSamples: recovery.overlapSamples,
      ...(timeErrorSamples ? { timeErrorSamples } : {}),
    });
    this.#budget = new RecoveryBudget(recovery.maxAttempts);
    this.#quiet = new Patience(deps.clock, deps.settings.quietTimeoutMs, () => this.#wake?.());
    this.#heardSample = fromSample;
    void this.#run();
  }

  push(pcm: Buffer): void {
    if (this.#over || this.#finishing) return;
    const dropped = this.#source.push(pcm);
    if (dropped > 0) {
      this.#deps.listener.onDropped(dropped);
      this.#deps.listener.onTaken(this.#source.readSample);
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
      const fromSample = this.#source.cursor;
      const pcm = this.#source.read(segmentSamples - segment.samples);
      if (pcm === undefined) continue;
      // Words of the coming overlap wait; where it lies is known unless audio is dropped before.
      const rollAt = fromSample + segmentSamples - segment.samples;
      if (rollAt !== expected && Number.isFinite(rollAt)) {
        this.#show(this.#joiner.expectRollAt(rollAt), '');
        expected = rollAt;
      }
      await wait.until(segment.write(pcm, fromSample));
      this.#onTaken(fromSample + (pcm.length >> 1));
    }
    // Full, and nothing more said yet: the next audio or the end decides whether this was the last segment.
    if (!this.#over && this.#source.samples === 0) await this.#hasAudio();
  }

  #onTaken(untilSample: number): void {
    const { readSample, samples } = this.#source;
    this.#deps.listener.onTaken(readSample);
    if (!this.#deps.engine.capabilities.tellsHeard)
      this.#show(this.#joiner.progress(untilSample - SETTLE_SAMPLES), '');
    if (this.#recovering === undefined && samples < CAUGHT_UP_SAMPLES) this.#source.patient = false;
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
        this.#show(this.#joiner.words(words), event.tail);
        this.#hear(words.at(-1)?.endSample ?? 0);
      }
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
    this.#source.patient = true;
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
  }

  #show(words: readonly Word[], tail: string): void {
    if (words.length > 0 || tail !== '') this.#deps.listener.onWords(words, tail);
  }
}

function asFault(error: unknown): StreamFault {
  if (error instanceof StreamFault) return error;
  const message = error instanceof Error ? error.message : String(error);
  return new StreamFault('other', message, { cause: error });
}
