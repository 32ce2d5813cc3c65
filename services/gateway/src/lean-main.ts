import { runService } from '@voice-fleet/runtime/lifecycle';
import { createLogger } from '@voice-fleet/telemetry/logger';
import { startGateway } from './gateway.ts';
import { leanConfig } from './lean/lean-config.ts';

// A gateway that speaks the lean protocol alone, on a port of its own.
await runService({ name: 'lean', env: process.env }, async () => {
  const { gateway: config, lean } = leanConfig(process.env);
  const log = createLogger('lean', config.logLevel);
  const gateway = await startGateway(config, log, [], lean);
  return { close: () => gateway.close(), closeTimeoutMs: config.shutdownTimeoutMs };
});
