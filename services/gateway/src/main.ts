import { parseEnv } from '@voice-fleet/runtime/env';
import { runService } from '@voice-fleet/runtime/lifecycle';
import { TraceEnv } from '@voice-fleet/runtime/trace-env';
import { createLogger, redactedLine } from '@voice-fleet/telemetry/logger';
import { openTracer } from '@voice-fleet/telemetry/tracing/open-tracer';
import { GatewayEnv } from './config.ts';
import { startGateway } from './gateway.ts';

await runService({ name: 'gateway', env: process.env, redact: redactedLine }, async () => {
  const config = parseEnv(GatewayEnv, process.env);
  const log = createLogger('gateway', config.logLevel);
  const settings = parseEnv(TraceEnv, process.env);
  const tracer = await openTracer({ service: 'gateway', settings, log });
  const gateway = await startGateway(config, log, [], undefined, tracer);
  const close = (): Promise<void> => gateway.close().finally(() => tracer.close());
  return { close, closeTimeoutMs: config.shutdownTimeoutMs };
});
