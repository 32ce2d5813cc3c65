import { numberVar, textVar } from '@voice-fleet/runtime/env';

/** Variables that gateways and workers of one fleet must agree on. */
export const fleetEnv = {
  REDIS_URL: textVar({
    default: 'redis://127.0.0.1:6379',
    pattern: /^rediss?:\/\//,
    secret: true,
    doc: 'Redis or Valkey that holds leases and workers.',
  }),
  FLEET_NAME: textVar({
    default: 'default',
    pattern: /^[\w.-]{1,64}$/,
    doc: 'Fleet of this process: gateways share all workers of the same name.',
  }),
  LEASE_TTL_S: numberVar({
    default: 10,
    min: 0.2,
    max: 300,
    doc: 'A crashed gateway holds its slots no longer than this, and for half of it Redis may be away unnoticed. The same in the whole fleet.',
  }),
};
