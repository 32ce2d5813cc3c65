import { z } from 'zod';

/** What the kubelet reads of Kubernetes objects, with the defaults of the API server. Whole numbers may be fractions here, for short specs. */

const Labels = z.record(z.string(), z.string());
const IntOrPercent = z.union([z.number(), z.string().regex(/^\d+%$/)]);

const Exec = z.object({ command: z.array(z.string()).min(1) });

/** One of the kinds of probes, and none that would be passed over. */
export const Probe = z
  .strictObject({
    httpGet: z
      .strictObject({
        path: z.string().default('/'),
        port: z.union([z.number(), z.string()]),
        scheme: z.literal('HTTP').optional(),
        httpHeaders: z.array(z.object({ name: z.string(), value: z.string() })).default([]),
      })
      .optional(),
    tcpSocket: z.strictObject({ port: z.union([z.number(), z.string()]) }).optional(),
    exec: Exec.optional(),
    initialDelaySeconds: z.number().default(0),
    periodSeconds: z.number().default(10),
    timeoutSeconds: z.number().default(1),
    successThreshold: z.number().default(1),
    failureThreshold: z.number().default(3),
  })
  .refine(
    ({ httpGet, tcpSocket, exec }) => [httpGet, tcpSocket, exec].filter(Boolean).length === 1,
    {
      error: 'needs one of httpGet, tcpSocket and exec',
    },
  );
export type Probe = z.infer<typeof Probe>;

export const EnvVar = z.strictObject({
  name: z.string(),
  value: z.string().optional(),
  valueFrom: z
    .strictObject({
      fieldRef: z.object({ fieldPath: z.string() }).optional(),
      resourceFieldRef: z
        .object({
          containerName: z.string().optional(),
          resource: z.string(),
          divisor: z.union([z.string(), z.number()]).optional(),
        })
        .optional(),
      configMapKeyRef: z
        .object({ name: z.string(), key: z.string(), optional: z.boolean().optional() })
        .optional(),
      secretKeyRef: z
        .object({ name: z.string(), key: z.string(), optional: z.boolean().optional() })
        .optional(),
    })
    .optional(),
});
export type EnvVar = z.infer<typeof EnvVar>;

const EnvFrom = z.strictObject({
  prefix: z.string().default(''),
  configMapRef: z.object({ name: z.string(), optional: z.boolean().optional() }).optional(),
  secretRef: z.object({ name: z.string(), optional: z.boolean().optional() }).optional(),
});

const Quantities = z.record(z.string(), z.union([z.string(), z.number()]));

export const Container = z.object({
  name: z.string(),
  image: z.string(),
  command: z.array(z.string()).optional(),
  args: z.array(z.string()).optional(),
  workingDir: z.string().optional(),
  env: z.array(EnvVar).default([]),
  envFrom: z.array(EnvFrom).default([]),
  ports: z.array(z.object({ name: z.string().optional(), containerPort: z.number() })).default([]),
  startupProbe: Probe.optional(),
  readinessProbe: Probe.optional(),
  livenessProbe: Probe.optional(),
  lifecycle: z
    .strictObject({
      preStop: z
        .strictObject({
          exec: Exec.optional(),
          sleep: z.object({ seconds: z.number() }).optional(),
        })
        .optional(),
    })
    .optional(),
  resources: z
    .object({ requests: Quantities.optional(), limits: Quantities.optional() })
    .default({}),
  volumeMounts: z
    .array(z.object({ name: z.string(), mountPath: z.string(), subPath: z.string().optional() }))
    .default([]),
  restartPolicy: z.literal('Always').optional(),
});
export type Container = z.infer<typeof Container>;

const Items = z.array(z.object({ key: z.string(), path: z.string() })).optional();

export const Volume = z.object({
  name: z.string(),
  emptyDir: z.object({}).optional(),
  hostPath: z.object({}).optional(),
  persistentVolumeClaim: z.object({ claimName: z.string() }).optional(),
  configMap: z.object({ name: z.string(), items: Items }).optional(),
  secret: z.object({ secretName: z.string(), items: Items }).optional(),
});
export type Volume = z.infer<typeof Volume>;

export const PodSpec = z.object({
  initContainers: z.array(Container).default([]),
  containers: z.array(Container).min(1),
  volumes: z.array(Volume).default([]),
  restartPolicy: z.enum(['Always', 'OnFailure', 'Never']).default('Always'),
  terminationGracePeriodSeconds: z.number().default(30),
  enableServiceLinks: z.boolean().default(true),
  automountServiceAccountToken: z.boolean().default(true),
  serviceAccountName: z.string().default('default'),
});
export type PodSpec = z.infer<typeof PodSpec>;

const Meta = z.object({
  name: z.string(),
  labels: Labels.default({}),
  annotations: Labels.default({}),
});

export const PodTemplate = z.object({
  metadata: z
    .object({ labels: Labels.default({}), annotations: Labels.default({}) })
    .default({ labels: {}, annotations: {} }),
  spec: PodSpec,
});
export type PodTemplate = z.infer<typeof PodTemplate>;

export const Deployment = z.object({
  kind: z.literal('Deployment'),
  metadata: Meta,
  spec: z.object({
    replicas: z.number().optional(),
    minReadySeconds: z.number().default(0),
    strategy: z
      .object({
        type: z.enum(['RollingUpdate', 'Recreate']).default('RollingUpdate'),
        rollingUpdate: z
          .object({
            maxSurge: IntOrPercent.default('25%'),
            maxUnavailable: IntOrPercent.default('25%'),
          })
          .default({ maxSurge: '25%', maxUnavailable: '25%' }),
      })
      .default({
        type: 'RollingUpdate',
        rollingUpdate: { maxSurge: '25%', maxUnavailable: '25%' },
      }),
    template: PodTemplate,
  }),
});
export type Deployment = z.infer<typeof Deployment>;

export const StatefulSet = z.object({
  kind: z.literal('StatefulSet'),
  metadata: Meta,
  spec: z.object({
    replicas: z.number().optional(),
    minReadySeconds: z.number().default(0),
    podManagementPolicy: z.enum(['OrderedReady', 'Parallel']).default('OrderedReady'),
    updateStrategy: z
      .object({
        type: z.enum(['RollingUpdate', 'OnDelete']).default('RollingUpdate'),
        rollingUpdate: z
          .object({
            partition: z.number().default(0),
            maxUnavailable: IntOrPercent.default(1),
          })
          .default({ partition: 0, maxUnavailable: 1 }),
      })
      .default({ type: 'RollingUpdate', rollingUpdate: { partition: 0, maxUnavailable: 1 } }),
    volumeClaimTemplates: z
      .array(z.object({ metadata: z.object({ name: z.string() }) }))
      .default([]),
    template: PodTemplate,
  }),
});
export type StatefulSet = z.infer<typeof StatefulSet>;

export const Service = z.object({
  kind: z.literal('Service'),
  metadata: Meta,
  spec: z.object({
    clusterIP: z.string().optional(),
    selector: Labels.default({}),
    ports: z
      .array(
        z.object({
          name: z.string().optional(),
          port: z.number(),
          targetPort: z.union([z.number(), z.string()]).optional(),
        }),
      )
      .default([]),
  }),
});
export type Service = z.infer<typeof Service>;

export const ConfigMap = z.object({
  kind: z.literal('ConfigMap'),
  metadata: Meta,
  data: z.record(z.string(), z.string()).default({}),
});

export const Secret = z.object({
  kind: z.literal('Secret'),
  metadata: Meta,
  /** Base64. */
  data: z.record(z.string(), z.string()).default({}),
  stringData: z.record(z.string(), z.string()).default({}),
});

export const Pod = z.object({ kind: z.literal('Pod'), metadata: Meta, spec: PodSpec });

/** Any object, as it was rendered. */
export const AnyObject = z.looseObject({
  kind: z.string(),
  metadata: z.looseObject({ name: z.string(), annotations: Labels.optional() }),
});
export type AnyObject = z.infer<typeof AnyObject>;

/** A part of `of`, as of maxSurge (rounded up) and maxUnavailable (rounded down). */
export function countOf(value: number | string, of: number, round: (n: number) => number): number {
  return typeof value === 'number' ? value : round((Number.parseInt(value, 10) / 100) * of);
}
