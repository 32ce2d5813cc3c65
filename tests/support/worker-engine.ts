import { DEFAULT_CAPACITY } from '@voice-fleet/asr-worker/capacity/capacity-loop';
import { WorkerEnv } from '@voice-fleet/asr-worker/config';
import { engineFrom, engineRegistry } from '@voice-fleet/asr-worker/engines/engines';
import { WorkerMetrics } from '@voice-fleet/asr-worker/metrics';
import type { WorkerParts } from '@voice-fleet/asr-worker/worker';
import { systemClock } from '@voice-fleet/runtime/clock';
import { parseEnv } from '@voice-fleet/runtime/env';

export interface Logged {
  readonly event: string;
  readonly [field: string]: unknown;
}

/** The engine that a worker with this environment runs, and what belongs to it; what it logs is kept. */
export function workerEngine(
  env: Record<string, string>,
): Pick<WorkerParts, 'engine' | 'registry' | 'metrics'> & { readonly logged: Logged[] } {
  const config = parseEnv(WorkerEnv, env);
  const metrics = new WorkerMetrics();
  const logged: Logged[] = [];
  const deps = {
    clock: systemClock,
    vllmStats: metrics.vllm,
    startSlots: DEFAULT_CAPACITY.start,
    log: (event: string, fields: Record<string, unknown>) => void logged.push({ event, ...fields }),
  };
  const registry = engineRegistry(config, deps);
  return { engine: engineFrom(registry, config.engines, deps), registry, metrics, logged };
}
