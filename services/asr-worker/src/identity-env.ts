import { hostname } from 'node:os';
import { integerVar, textVar } from '@voice-fleet/runtime/env';
import type { z } from 'zod';

/** A host name, an IPv4 or an IPv6 address: without port, brackets or zone. */
const HOST =
  /^(?:(?:[\w-]+\.)*(?!\d+$)[\w-]+|(?:(?:25[0-5]|2[0-4]\d|1?\d?\d)(?:\.(?=\d)|$)){4}|(?=.*:.*:)[\da-f:]{2,39})$/i;

/** Variables of who a worker is to the fleet. */
export const identityEnv = {
  WORKER_HOST: textVar({
    default: '127.0.0.1',
    pattern: HOST,
    doc: 'Host under which gateways reach this worker; in a cluster the pod address.',
  }),
  WORKER_NAME: textVar({
    default: '',
    pattern: /^[\w.-]{1,200}$/,
    doc: 'Name of this worker; a part that is new at each start is added. Empty: the host name.',
  }),
  WORKER_POOL: textVar({
    default: 'default',
    // As part of the name of what Kubernetes runs it by.
    pattern: /^[a-z0-9](?:[a-z0-9-]{0,38}[a-z0-9])?$/,
    doc: 'Pool of this worker: those of its fleet that are alike, such as of one kind of card. Lower-case letters, digits and hyphens, 40 at most.',
  }),
  WORKER_ORDINAL: integerVar({
    default: 0,
    min: 0,
    max: 99_999,
    doc: 'Number of this worker in its pool, as that of a pod of a StatefulSet. FLEET_PLACEMENT=ordinal fills low ones first.',
  }),
};

type IdentityEnv = {
  readonly [Name in keyof typeof identityEnv]: z.infer<(typeof identityEnv)[Name]>;
};

export interface IdentitySettings {
  readonly name: string;
  /** As it stands in an address with a port. */
  readonly advertiseHost: string;
  readonly pool: string;
  readonly ordinal: number;
}

export function identitySettings(env: IdentityEnv): IdentitySettings {
  return {
    name: env.WORKER_NAME || hostname(),
    advertiseHost: env.WORKER_HOST.includes(':') ? `[${env.WORKER_HOST}]` : env.WORKER_HOST,
    pool: env.WORKER_POOL,
    ordinal: env.WORKER_ORDINAL,
  };
}
