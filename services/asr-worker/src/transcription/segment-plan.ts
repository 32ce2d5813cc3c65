import { SAMPLE_RATE } from '@voice-fleet/speech/pcm';

/** One model position stands for 80 ms of audio. */
const SAMPLES_PER_POSITION = 1280;
/** Positions kept free for what is not audio: prefix, left padding and the delay. */
const HEADROOM_POSITIONS = 128;

/** How an utterance is cut into segments; all in samples. */
export interface SegmentPlan {
  /** A segment holds no more, its overlap included. Infinity: not cut, unless the engine must. */
  readonly segmentSamples: number;
  readonly overlapSamples: number;
}

export function segmentPlan(settings: {
  roll: boolean;
  segmentS: number;
  overlapS: number;
  maxModelLen: number;
}): SegmentPlan {
  const capSamples = (settings.maxModelLen - HEADROOM_POSITIONS) * SAMPLES_PER_POSITION;
  const segmentSamples = settings.roll
    ? Math.min(Math.round(settings.segmentS * SAMPLE_RATE), capSamples)
    : Number.POSITIVE_INFINITY;
  const overlapSamples = Math.min(
    Math.round(settings.overlapS * SAMPLE_RATE),
    Math.floor(segmentSamples / 2),
  );
  return { segmentSamples, overlapSamples };
}

/** The plan for an engine that takes no more than `maxSegmentSamples` in one stream: such a limit holds even with rolling off. */
export function planForEngine(
  plan: SegmentPlan,
  maxSegmentSamples: number | undefined,
): SegmentPlan {
  if (maxSegmentSamples === undefined || maxSegmentSamples >= plan.segmentSamples) return plan;
  return {
    segmentSamples: maxSegmentSamples,
    overlapSamples: Math.min(plan.overlapSamples, maxSegmentSamples >> 1),
  };
}
