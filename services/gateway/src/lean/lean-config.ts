import { randomBytes } from 'node:crypto';
import { parseEnv } from '@voice-fleet/runtime/env';
import { type GatewayConfig, GatewayEnv } from '../config.ts';
import { LeanEnv, type LeanSettings } from './lean-env.ts';

/** The settings of a lean gateway: its own, and those of every gateway. Throws ConfigError with the faults of the first that has any. */
export function leanConfig(env: NodeJS.ProcessEnv): {
  readonly gateway: GatewayConfig;
  readonly lean: LeanSettings;
} {
  const { port, internalPort, modelLabel, open, saveDir, debug } = parseEnv(LeanEnv, env);
  const gateway = {
    ...parseEnv(GatewayEnv, { ...env, SERVER_PORT: '', INTERNAL_PORT: '' }),
    port,
    internalPort,
  };
  // A key that nobody is told serves those who need none.
  const apiKey =
    open && gateway.apiKey === '' ? randomBytes(24).toString('base64url') : gateway.apiKey;
  return {
    gateway: { ...gateway, apiKey },
    lean: {
      modelLabel: modelLabel || gateway.voice.modelLabel,
      saveDir,
      debug,
      guestKey: open ? apiKey : '',
    },
  };
}
