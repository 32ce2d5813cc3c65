import { systemClock } from '@voice-fleet/runtime/clock';
import { parseEnv } from '@voice-fleet/runtime/env';
import { runService } from '@voice-fleet/runtime/lifecycle';
import { TraceEnv } from '@voice-fleet/runtime/trace-env';
import { SAMPLE_RATE } from '@voice-fleet/speech/pcm';
import { createLogger, redactedLine } from '@voice-fleet/telemetry/logger';
import { openTracer } from '@voice-fleet/telemetry/tracing/open-tracer';
import { capacitySettings } from './capacity/capacity-settings.ts';
import { WorkerEnv } from './config.ts';
import { engineFrom, engineRegistry } from './engines/engines.ts';
import { probeGpu, type Run } from './gpu/probe.ts';
import { runCommand } from './gpu/run-command.ts';
import { WorkerMetrics } from './metrics.ts';
import { VadLadder } from './vad/vad-ladder.ts';
import { startWorker } from './worker.ts';

const CLOSE_MARGIN_MS = 10_000;
/** A driver that hangs must not keep the ports closed for long. */
const PROBE_MS = 10_000;
/** Of what engines log, that nothing is wrong with. */
const USUAL = ['engine_ready', 'child_started', 'child_stopped'];

await runService({ name: 'asr-worker', env: process.env, redact: redactedLine }, async () => {
  const config = parseEnv(WorkerEnv, process.env);
  const log = createLogger('asr-worker', config.logLevel);
  const metrics = new WorkerMetrics({ pool: config.pool });
  const { gpu } = config.engines.includes('vllm')
    ? await probeGpu(within(PROBE_MS), process.env['CUDA_VISIBLE_DEVICES'])
    : {};
  const { segmentSamples } = config.transcription.plan;
  const capacity = capacitySettings(config.capacity, gpu, segmentSamples / SAMPLE_RATE);
  const deps = {
    clock: systemClock,
    vllmStats: metrics.vllm,
    startSlots: capacity.start,
    log: (event: string, fields: Record<string, unknown>) => {
      if (event === 'engine_down') metrics.engineRestarts.inc();
      log[USUAL.includes(event) ? 'info' : 'warn']({ event, ...fields });
    },
  };
  const registry = engineRegistry(config, deps);
  const engine = engineFrom(registry, config.engines, deps);
  // A stop while the engine is loaded ends this process with nothing to close, but what the engine has started lives on.
  process.once('exit', () => void engine.stop());
  if (gpu) log.info({ event: 'gpu', ...gpu, slots: capacity.start });
  const vad = await VadLadder.start(config.vad, {
    clock: systemClock,
    stats: metrics.vadStats,
    log: (event, fields) => log.warn({ event, ...fields }),
  });
  log.info({ event: 'vad', vad: vad.name });
  const settings = parseEnv(TraceEnv, process.env);
  const tracer = await openTracer({ service: 'asr-worker', settings, log });
  const parts = { engine, vad, registry, capacity, metrics, log, tracer };
  const worker = await startWorker(config, parts);
  const stopGraceMs = config.engines.includes('process') ? config.process.stopGraceMs : 0;
  const closeTimeoutMs = config.drainMs + stopGraceMs + CLOSE_MARGIN_MS;
  return { close: () => worker.close().finally(() => tracer.close()), closeTimeoutMs };
});

/** Runs programs that share so much time. */
function within(totalMs: number): Run {
  const startedMs = systemClock.now();
  return (command, args, timeoutMs) => {
    const leftMs = Math.ceil(startedMs + totalMs - systemClock.now());
    return leftMs > 0
      ? runCommand(command, args, Math.min(timeoutMs, leftMs))
      : Promise.resolve(undefined);
  };
}
