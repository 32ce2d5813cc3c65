import { systemClock } from '@voice-fleet/runtime/clock';
import { parseEnv } from '@voice-fleet/runtime/env';
import { runService } from '@voice-fleet/runtime/lifecycle';
import { SAMPLE_RATE } from '@voice-fleet/speech/pcm';
import { createLogger } from '@voice-fleet/telemetry/logger';
import { capacitySettings } from './capacity/capacity-settings.ts';
import { WorkerEnv } from './config.ts';
import { engineFrom, engineRegistry } from './engines/engines.ts';
import { probeGpu } from './gpu/probe.ts';
import { runCommand } from './gpu/run-command.ts';
import { WorkerMetrics } from './metrics.ts';
import { startWorker } from './worker.ts';

const CLOSE_MARGIN_MS = 10_000;

await runService({ name: 'asr-worker', env: process.env }, async () => {
  const config = parseEnv(WorkerEnv, process.env);
  const log = createLogger('asr-worker', config.logLevel);
  const metrics = new WorkerMetrics();
  const { gpu } = config.engines.includes('vllm')
    ? await probeGpu(runCommand, process.env['CUDA_VISIBLE_DEVICES'])
    : {};
  const { segmentSamples } = config.transcription.plan;
  const capacity = capacitySettings(config.capacity, gpu, segmentSamples / SAMPLE_RATE);
  const deps = {
    clock: systemClock,
    vllmStats: metrics.vllm,
    startSlots: capacity.start,
    log: (event: string, fields: Record<string, unknown>) => {
      if (event === 'engine_down') metrics.engineRestarts.inc();
      log[event === 'engine_ready' ? 'info' : 'warn']({ event, ...fields });
    },
  };
  const registry = engineRegistry(config, deps);
  const engine = engineFrom(registry, config.engines, deps);
  if (gpu) log.info({ event: 'gpu', ...gpu, slots: capacity.start });
  const worker = await startWorker(config, { engine, registry, capacity, metrics, log });
  return { close: () => worker.close(), closeTimeoutMs: config.drainMs + CLOSE_MARGIN_MS };
});
