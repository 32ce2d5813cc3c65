import { gpuProfile } from '../gpu/gpu-profile.ts';
import { kvPoolGib, meanSessions, safeSessions } from '../gpu/kv-cost.ts';
import type { Gpu } from '../gpu/probe.ts';
import { type CapacitySettings, DEFAULT_CAPACITY } from './capacity-loop.ts';

const MIB_PER_GIB = 1024;

export interface CapacityEnv {
  readonly floor: number;
  /** 0: what the cache of the card holds, or the default. */
  readonly ceiling: number;
  /** 0: what the card is planned with. */
  readonly start: number;
  readonly targetFrameLatencyMs: number;
  /** Part of the card that vLLM takes. */
  readonly memoryUtilization: number;
  /** Sequences that vLLM steps at once; 0: not known. */
  readonly maxNumSeqs: number;
}

/**
 * The bounds of the capacity loop for a card and segments of up to `segmentS`: it starts where all sessions fit even when
 * all are at the end of a segment, and ends where they fit at ages evenly spread. An unknown card gets the defaults.
 */
export function capacitySettings(
  env: CapacityEnv,
  gpu: Gpu | undefined,
  segmentS: number,
): CapacitySettings {
  const poolGib = gpu && kvPoolGib(gpu.memoryMib / MIB_PER_GIB, env.memoryUtilization);
  const ageS = Number.isFinite(segmentS) ? segmentS : LONGEST_S;
  const planned =
    gpu && poolGib !== undefined
      ? Math.min(gpuProfile(gpu).planningSlots, safeSessions(poolGib, ageS))
      : DEFAULT_CAPACITY.start;
  const fitting = poolGib === undefined ? DEFAULT_CAPACITY.ceiling : meanSessions(poolGib, ageS);
  // Beyond, some sessions wait for the others in every step: a cliff that nothing measured warns of.
  const atOnce = env.maxNumSeqs > 0 ? env.maxNumSeqs : Number.POSITIVE_INFINITY;
  const ceiling = Math.max(env.floor, Math.min(atOnce, env.ceiling > 0 ? env.ceiling : fitting));
  const start = env.start > 0 ? env.start : planned;
  return {
    ...DEFAULT_CAPACITY,
    floor: env.floor,
    ceiling,
    start: Math.max(env.floor, Math.min(ceiling, start)),
    targetFrameLatencyMs: env.targetFrameLatencyMs,
    kvSettleMs: ageS * 1_000,
  };
}

/** Beyond it the cache of an utterance grows no more. */
const LONGEST_S = 660;
