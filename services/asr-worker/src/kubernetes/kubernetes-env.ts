import { booleanVar, numberVar, textVar } from '@voice-fleet/runtime/env';
import type { z } from 'zod';

/** Names as Kubernetes has them: of a pod, and of a namespace. */
const POD_NAME = /^[a-z\d](?:[a-z\d.-]{0,251}[a-z\d])?$/;
const NAMESPACE = /^[a-z\d](?:[a-z\d-]{0,61}[a-z\d])?$/;
const PORT = /^\d{1,5}$/;
/** As in names of hosts, and in addresses of either kind. */
const HOST = /^[\w.:-]{1,253}$/;

/** Variables of a worker that tells Kubernetes what its loss would cost. */
export const kubernetesEnv = {
  POD_DELETION_COST: booleanVar({
    default: false,
    doc: 'Tell Kubernetes how many sessions this pod has, so that a Deployment that shrinks takes idle ones. The pod must be allowed to patch itself.',
  }),
  POD_DELETION_COST_S: numberVar({
    default: 30,
    min: 0.05,
    max: 3600,
    doc: 'How often that is told at the most.',
  }),
  POD_NAME: textVar({
    default: '',
    pattern: POD_NAME,
    doc: 'Name of the pod, of its metadata. Needed with POD_DELETION_COST.',
  }),
  POD_NAMESPACE: textVar({
    default: '',
    pattern: NAMESPACE,
    doc: 'Its namespace. Needed with POD_DELETION_COST.',
  }),
  KUBERNETES_SERVICE_ACCOUNT_DIR: textVar({
    default: '/var/run/secrets/kubernetes.io/serviceaccount',
    doc: 'Folder with token and ca.crt of the service account.',
  }),
  KUBERNETES_SERVICE_HOST: textVar({
    default: '',
    pattern: HOST,
    doc: 'Where Kubernetes is asked; it sets this in each pod.',
  }),
  KUBERNETES_SERVICE_PORT: textVar({
    default: '443',
    pattern: PORT,
    doc: 'Its port; Kubernetes sets this, too.',
  }),
  KUBERNETES_SERVICE_PORT_HTTPS: textVar({
    default: '',
    pattern: PORT,
    doc: 'The same where several are served; it goes before KUBERNETES_SERVICE_PORT.',
  }),
};

type KubernetesEnv = {
  readonly [Name in keyof typeof kubernetesEnv]: z.infer<(typeof kubernetesEnv)[Name]>;
};

/** A pod, and where what is known of it may be changed. */
export interface PodAddress {
  readonly host: string;
  readonly port: number;
  readonly namespace: string;
  readonly name: string;
  /** Holds `token`, which is renewed from time to time, and `ca.crt`. */
  readonly accountDir: string;
}

export interface DeletionCostSettings {
  readonly pod: PodAddress;
  readonly intervalMs: number;
}

/** Undefined when it is not asked for, and after a `fail`: of each variable that it needs and has not got. */
export function deletionCostSettings(
  env: KubernetesEnv,
  fail: (variable: string, message: string) => void,
): DeletionCostSettings | undefined {
  if (!env.POD_DELETION_COST) return undefined;
  const needed = ['POD_NAME', 'POD_NAMESPACE', 'KUBERNETES_SERVICE_HOST'] as const;
  const missing = needed.filter((name) => env[name] === '');
  for (const name of missing) fail(name, 'must be set where POD_DELETION_COST is true');
  if (missing.length > 0) return undefined;
  return {
    pod: {
      host: env.KUBERNETES_SERVICE_HOST,
      port: Number(env.KUBERNETES_SERVICE_PORT_HTTPS || env.KUBERNETES_SERVICE_PORT),
      namespace: env.POD_NAMESPACE,
      name: env.POD_NAME,
      accountDir: env.KUBERNETES_SERVICE_ACCOUNT_DIR,
    },
    intervalMs: env.POD_DELETION_COST_S * 1000,
  };
}
