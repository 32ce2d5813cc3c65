import type { Clock } from '@voice-fleet/runtime/clock';
import { AudioQueue } from '@voice-fleet/speech/audio-queue';
import { AudioTail } from '@voice-fleet/speech/audio-tail';
import { TranscriptJoiner } from '@voice-fleet/speech/transcript-joiner';
import type { Word } from '@voice-fleet/speech/words';
import type { AsrEngine, VoiceState } from '../engines/engine.ts';
import { EngineWait } from './engine-wait.ts';
import { Segment } from './segment.ts';
import type { SegmentPlan } from './segment-plan.ts';

/** Audio goes to the engine in pieces of at most 100 ms, so that a drop or a cancel takes effect at once. */
const PIECE_SAMPLES = 1600;
/** Engines settle a word well within this after they took its audio; behind it a seam need not wait for more words. */
const SETTLE_SAMPLES = 32_000;

export interface RunnerSettings {
  readonly plan: SegmentPlan;
  /** 0 drops nothing. */
  readonly maxBacklogSamples: number;
  readonly finishTimeoutMs: number;
}

export interface RunnerUsage {
  readonly promptTokens: number;
  readonly completionTokens: number;
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
}

export interface RunnerDeps {
  readonly engine: AsrEngine;
  readonly voice: VoiceState;
  readonly clock: Clock;
  readonly settings: RunnerSettings;
  readonly listener: RunnerListener;
}

/** One utterance: audio in, settled words out, over as many engine segments as it takes. Tells exactly one final or failure, or nothing after `cancel`. */
export class UtteranceRunner {
  readonly #deps: RunnerDeps;
  readonly #queue: AudioQueue;
  readonly #tail: AudioTail;
  readonly #joiner: TranscriptJoiner;
  readonly #wait: EngineWait;
  #segment: Segment | undefined;
  #finishing = false;
  #over = false;
  #wake: (() => void) | undefined;
  #promptTokens = 0;
  #completionTokens = 0;

  constructor(fromSample: number, deps: RunnerDeps) {
    this.#deps = deps;
    const { plan, maxBacklogSamples, finishTimeoutMs } = deps.settings;
    this.#queue = new AudioQueue(maxBacklogSamples, fromSample);
    this.#tail = new AudioTail(plan.overlapSamples, fromSample);
    this.#joiner = new TranscriptJoiner({ overlapSamples: plan.overlapSamples });
    this.#wait = new EngineWait(deps.clock, finishTimeoutMs);
    void this.#run();
  }

  push(pcm: Buffer): void {
    if (this.#over || this.#finishing) return;
    const dropped = this.#queue.push(pcm);
    if (dropped > 0) {
      this.#deps.listener.onDropped(dropped);
      this.#deps.listener.onTaken(this.#queue.headSample);
    }
    this.#wake?.();
  }

  finish(): void {
    this.#finishing = true;
    this.#wake?.();
  }

  cancel(): void {
    this.#over = true;
    this.#segment?.abort();
    this.#wait.end(new Error('the utterance was cancelled'));
    this.#queue.clear();
    this.#wake?.();
  }

  async #run(): Promise<void> {
    try {
      while (await this.#hasAudio()) await this.#runSegment();
      if (this.#over) return;
      this.#over = true;
      this.#wait.end(new Error('the utterance is over'));
      const usage = { promptTokens: this.#promptTokens, completionTokens: this.#completionTokens };
      this.#deps.listener.onFinal(this.#joiner.end(), usage);
    } catch (error) {
      this.#wait.end(error);
      this.#segment?.abort();
      if (this.#over) return;
      this.#over = true;
      this.#queue.clear();
      this.#deps.listener.onFailed(error);
    }
  }

  /** Settles with true when there is audio to decode, with false when there will be none. */
  async #hasAudio(): Promise<boolean> {
    while (!this.#over && this.#queue.samples === 0) {
      if (this.#finishing) return false;
      await new Promise<void>((resolve) => {
        this.#wake = resolve;
      });
    }
    this.#wake = undefined;
    return !this.#over;
  }

  async #runSegment(): Promise<void> {
    const { engine, voice, settings, listener } = this.#deps;
    const segment = new Segment(engine.open(voice));
    this.#segment = segment;
    const ended = this.#read(segment);
    // An engine that failed may never settle the write under way.
    ended.catch((error: unknown) => this.#wait.end(error));
    await this.#feed(segment, settings.plan.segmentSamples);
    if (this.#over) return;
    segment.finish();
    await this.#wait.until(ended);
    if (this.#over || (this.#finishing && this.#queue.samples === 0)) return;
    listener.onSegmentRolled();
    this.#show(this.#joiner.roll(this.#tail.endSample), '');
  }

  async #feed(segment: Segment, limitSamples: number): Promise<void> {
    // The queue may have dropped audio since: the overlap lies where the tail ends, not where the queue begins.
    const overlap = this.#tail.last(this.#deps.settings.plan.overlapSamples);
    if (overlap.length > 0)
      await this.#wait.until(segment.write(overlap, this.#tail.endSample - (overlap.length >> 1)));
    this.#expectRoll(segment, limitSamples);
    while (segment.samples < limitSamples && (await this.#hasAudio())) {
      const fromSample = this.#queue.headSample;
      if (fromSample !== this.#tail.endSample) {
        this.#tail.reset(fromSample);
        this.#expectRoll(segment, limitSamples);
      }
      const pcm = this.#queue.take(Math.min(PIECE_SAMPLES, limitSamples - segment.samples));
      if (pcm === undefined) continue;
      await this.#wait.until(segment.write(pcm, fromSample));
      this.#tail.append(pcm);
      this.#deps.listener.onTaken(this.#queue.headSample);
      this.#show(this.#joiner.progress(this.#queue.headSample - SETTLE_SAMPLES), '');
    }
    // Full, and nothing more said yet: the next audio or the end decides whether this was the last segment.
    if (!this.#over) await this.#hasAudio();
  }

  /** Words of the coming overlap wait; where it lies is known unless audio is dropped before. */
  #expectRoll(segment: Segment, limitSamples: number): void {
    const rollAt = this.#queue.headSample + limitSamples - segment.samples;
    if (Number.isFinite(rollAt)) this.#show(this.#joiner.expectRollAt(rollAt), '');
  }

  async #read(segment: Segment): Promise<void> {
    for await (const event of segment.events) {
      if (this.#over) return;
      if (event.kind === 'words') {
        this.#show(this.#joiner.words(segment.onSessionClock(event.words)), event.tail);
      } else {
        this.#promptTokens += event.promptTokens;
        this.#completionTokens += event.completionTokens;
        return;
      }
    }
    if (!this.#over) throw new Error('the engine ended a segment without its last words');
  }

  #show(words: readonly Word[], tail: string): void {
    if (words.length > 0 || tail !== '') this.#deps.listener.onWords(words, tail);
  }
}
