import { parseEnv } from '@voice-fleet/runtime/env';
import { runService } from '@voice-fleet/runtime/lifecycle';
import { createLogger } from '@voice-fleet/telemetry/logger';
import { GatewayEnv } from './config.ts';
import { startGateway } from './gateway.ts';

await runService({ name: 'gateway', env: process.env }, async () => {
  const config = parseEnv(GatewayEnv, process.env);
  const gateway = await startGateway(config, createLogger('gateway', config.logLevel));
  return { close: () => gateway.close(), closeTimeoutMs: config.shutdownTimeoutMs };
});
