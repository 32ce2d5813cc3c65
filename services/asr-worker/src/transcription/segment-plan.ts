import { SAMPLE_RATE } from '@voice-fleet/speech/pcm';

/** One model position stands for 80 ms of audio. */
const SAMPLES_PER_POSITION = 1280;
/** Positions that are not audio, whatever the delay (80..2400 ms): start, left padding, delay, and what a final adds. */
const HEADROOM_POSITIONS = 1 + 32 + 30 + 41;
/** The first cut may come this early where it would otherwise lie behind the last. */
const MIN_SEGMENT_SAMPLES = SAMPLE_RATE;

/** How an utterance is cut into segments; all in samples. */
export interface SegmentPlan {
  /** A segment holds no more, its overlap included. Infinity: not cut, unless the engine must. */
  readonly segmentSamples: number;
  /** From here on a segment is cut at the first pause of the speaker. */
  readonly pauseFromSamples: number;
  /** Heard by both segments around a cut amid speech. */
  readonly overlapSamples: number;
}

export interface SegmentSettings {
  readonly roll: boolean;
  readonly segmentS: number;
  readonly pauseFromS: number;
  readonly overlapS: number;
  /** Reaching it kills vLLM for all sessions, hence no segment comes near: half of it is the most. */
  readonly maxModelLen: number;
}

export function segmentPlan(settings: SegmentSettings): SegmentPlan {
  const positions = Math.floor(settings.maxModelLen / 2) - HEADROOM_POSITIONS;
  const capSamples = Math.max(MIN_SEGMENT_SAMPLES, positions * SAMPLES_PER_POSITION);
  return bounded(
    {
      segmentSamples: settings.roll ? samplesOf(settings.segmentS) : Number.POSITIVE_INFINITY,
      pauseFromSamples: settings.roll ? samplesOf(settings.pauseFromS) : Number.POSITIVE_INFINITY,
      overlapSamples: samplesOf(settings.overlapS),
    },
    settings.roll ? capSamples : Number.POSITIVE_INFINITY,
  );
}

/** The plan for an engine that takes no more than `maxSegmentSamples` in one stream: such a limit holds even with rolling off. */
export function planForEngine(
  plan: SegmentPlan,
  engine: { readonly maxSegmentSamples?: number; readonly endless?: boolean },
): SegmentPlan {
  const { maxSegmentSamples = Number.POSITIVE_INFINITY, endless = false } = engine;
  if (!endless) return bounded(plan, maxSegmentSamples);
  const unlimited = Number.POSITIVE_INFINITY;
  return bounded(
    { ...plan, segmentSamples: unlimited, pauseFromSamples: unlimited },
    maxSegmentSamples,
  );
}

function bounded(plan: SegmentPlan, maxSamples: number): SegmentPlan {
  const segmentSamples = Math.min(plan.segmentSamples, maxSamples);
  return {
    segmentSamples,
    pauseFromSamples: plan.pauseFromSamples,
    // Each segment must bring something new.
    overlapSamples: Math.min(plan.overlapSamples, Math.floor(segmentSamples / 2)),
  };
}

function samplesOf(seconds: number): number {
  return Math.round(seconds * SAMPLE_RATE);
}
