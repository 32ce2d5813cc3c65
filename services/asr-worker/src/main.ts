import { systemClock } from '@voice-fleet/runtime/clock';
import { parseEnv } from '@voice-fleet/runtime/env';
import { runService } from '@voice-fleet/runtime/lifecycle';
import { createLogger } from '@voice-fleet/telemetry/logger';
import { WorkerEnv } from './config.ts';
import { createEngine } from './engines/engines.ts';
import { WorkerMetrics } from './metrics.ts';
import { startWorker } from './worker.ts';

const CLOSE_MARGIN_MS = 10_000;

await runService({ name: 'asr-worker', env: process.env }, async () => {
  const config = parseEnv(WorkerEnv, process.env);
  const log = createLogger('asr-worker', config.logLevel);
  const metrics = new WorkerMetrics();
  const engine = createEngine(config, {
    clock: systemClock,
    vllmStats: metrics.vllm,
    log: (event, fields) => {
      if (event === 'engine_down') metrics.engineRestarts.inc();
      log[event === 'engine_ready' ? 'info' : 'warn']({ event, ...fields });
    },
  });
  const worker = await startWorker(config, { engine, metrics, log });
  return { close: () => worker.close(), closeTimeoutMs: config.drainMs + CLOSE_MARGIN_MS };
});
