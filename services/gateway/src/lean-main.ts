import { parseEnv } from '@voice-fleet/runtime/env';
import { runService } from '@voice-fleet/runtime/lifecycle';
import { TraceEnv } from '@voice-fleet/runtime/trace-env';
import { createLogger, redactedLine } from '@voice-fleet/telemetry/logger';
import { openTracer } from '@voice-fleet/telemetry/tracing/open-tracer';
import { startGateway } from './gateway.ts';
import { leanConfig } from './lean/lean-config.ts';

// A gateway that speaks the lean protocol alone, on a port of its own.
await runService({ name: 'lean', env: process.env, redact: redactedLine }, async () => {
  const { gateway: config, lean } = leanConfig(process.env);
  const log = createLogger('lean', config.logLevel);
  const settings = parseEnv(TraceEnv, process.env);
  const tracer = await openTracer({ service: 'lean', settings, log });
  const gateway = await startGateway(config, log, [], lean, tracer);
  const close = (): Promise<void> => gateway.close().finally(() => tracer.close());
  return { close, closeTimeoutMs: config.shutdownTimeoutMs };
});
