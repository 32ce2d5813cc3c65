import { numberVar, textVar } from '@voice-fleet/runtime/env';

/** Variables that gateways and workers of one pool must agree on. */
export const fleetEnv = {
  REDIS_URL: textVar({
    default: 'redis://127.0.0.1:6379',
    pattern: /^rediss?:\/\//,
    secret: true,
    doc: 'Redis or Valkey that holds leases and workers.',
  }),
  FLEET_POOL: textVar({
    default: 'default',
    pattern: /^[\w.-]{1,64}$/,
    doc: 'Pool of workers that may stand in for each other.',
  }),
  LEASE_TTL_S: numberVar({
    default: 10,
    min: 0.2,
    max: 300,
    doc: 'A crashed gateway holds its slots no longer than this, and for half of it Redis may be away unnoticed. The same in the whole pool.',
  }),
};
