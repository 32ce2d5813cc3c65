import { describe, expect, it } from '@jest/globals';
import { WorkerEnv } from '@voice-fleet/asr-worker/config';
import { LaunchEnv } from '@voice-fleet/asr-worker/gpu/launch-env';
import { GatewayEnv } from '@voice-fleet/gateway/config';
import { LlmTtsEnv } from '@voice-fleet/llm-tts/config';
import { parseEnv } from '@voice-fleet/runtime/env';
import type { z } from 'zod';
import {
  at,
  type JsonObject,
  type KubernetesObject,
  listAt,
  mapAt,
  nameOf,
} from '../../scripts/chart/kubernetes-object.ts';
import { matrix } from '../../scripts/chart/matrix.ts';
import { renderChart } from '../../scripts/chart/render.ts';
import { type ContainerPlace, containersOf } from '../../scripts/chart/rules/rule.ts';

/** What a container of ours reads, by its name, and which variable says what its ports are. */
const SERVICES: Readonly<
  Record<string, { schema: z.ZodType; ports: Readonly<Record<string, string>> }>
> = {
  gateway: {
    schema: GatewayEnv,
    ports: { http: 'SERVER_PORT', https: 'TLS_PORT', internal: 'INTERNAL_PORT' },
  },
  'llm-tts': { schema: LlmTtsEnv, ports: { http: 'LLM_TTS_PORT', internal: 'INTERNAL_PORT' } },
  'asr-worker': { schema: WorkerEnv, ports: { link: 'WORKER_PORT', internal: 'INTERNAL_PORT' } },
  vllm: { schema: LaunchEnv, ports: { vllm: 'VLLM_PORT' } },
  model: { schema: LaunchEnv, ports: {} },
};

/** Read by others than our configuration: libraries, vLLM, or the value of another variable. */
const OF_OTHERS = [
  'KUBERNETES_SERVICE_HOST',
  'AWS_ACCESS_KEY_ID',
  'AWS_REGION',
  'AWS_SECRET_ACCESS_KEY',
  'EXTRA',
  'HF_HUB_OFFLINE',
  'HOME',
  'K8S_NODE_NAME',
  'K8S_POD_NAME',
  'OTEL_RESOURCE_ATTRIBUTES',
];

/** What the API server fills in. */
const FIELDS: Readonly<Record<string, string>> = {
  'metadata.name': 'voice-asr-worker-main-3',
  'metadata.namespace': 'speech',
  'status.podIP': '10.1.2.3',
  'spec.nodeName': 'node-1',
  "metadata.labels['apps.kubernetes.io/pod-index']": '3',
};
const SECRETS: Readonly<Record<string, string>> = {
  REDIS_URL: 'rediss://:word@redis.example.org:6379',
};

type Raw = Readonly<Record<string, unknown>>;
interface Inner {
  readonly def: { readonly in: z.ZodType<Raw> & { readonly shape: Raw } };
}

const inner = (schema: z.ZodType) => (schema as unknown as Inner).def.in;

/** The environment of a container as the kubelet makes it. */
function environmentOf(container: JsonObject): Record<string, string> {
  // The kubelet tells every container where the API server is.
  const env: Record<string, string> = { KUBERNETES_SERVICE_HOST: '10.0.0.1' };
  for (const one of listAt(container, 'env')) {
    const name = String(one['name']);
    const field = at(one, 'valueFrom', 'fieldRef', 'fieldPath');
    if (at(one, 'valueFrom', 'secretKeyRef')) env[name] = SECRETS[name] ?? 'k'.repeat(32);
    else if (field !== undefined) {
      const filled = FIELDS[String(field)];
      if (filled === undefined) throw new Error(`nobody fills in ${String(field)}`);
      env[name] = filled;
    } else {
      env[name] = String(one['value'] ?? '').replaceAll(
        /\$\((\w+)\)/g,
        (whole, of: string) => env[of] ?? whole,
      );
    }
  }
  return env;
}

interface Ours extends ContainerPlace {
  readonly service: string;
  readonly schema: z.ZodType;
  readonly ports: Readonly<Record<string, string>>;
  readonly env: Record<string, string>;
}

function oursIn(objects: readonly KubernetesObject[]): Ours[] {
  return objects.flatMap((object) =>
    containersOf(object).flatMap((place) => {
      const known = SERVICES[place.name];
      return known
        ? [
            {
              ...place,
              ...known,
              service: `${nameOf(object)} ${place.name}`,
              env: environmentOf(place.container),
            },
          ]
        : [];
    }),
  );
}

const cases = matrix().filter(({ name }) => !name.includes('Kubernetes 1.29'));

describe.each(cases.map((one) => [one.name, one] as const))('with %s', (_name, { options }) => {
  const objects = renderChart(options);
  const ours = oursIn(objects);

  it('services are given variables that they know, with values that they take', () => {
    expect(ours.length).toBeGreaterThan(1);
    for (const { service, schema, env } of ours) {
      const known = Object.keys(inner(schema).shape);
      const strange = Object.keys(env).filter(
        (name) => !known.includes(name) && !OF_OTHERS.includes(name),
      );
      expect([service, strange]).toEqual([service, []]);
      expect(() => parseEnv(schema, env)).not.toThrow();
    }
  });

  it('services listen where the pods say, on all addresses', () => {
    for (const { service, schema, ports, container, env } of ours) {
      const raw = inner(schema).parse(env);
      for (const { name, containerPort } of listAt(container, 'ports')) {
        const variable = ports[String(name)];
        expect([service, name, variable === undefined ? variable : raw[variable]]).toEqual([
          service,
          name,
          containerPort,
        ]);
      }
      for (const [variable, value] of Object.entries(raw)) {
        if (!/_BIND_HOST$|^VLLM_HOST$/.test(variable)) continue;
        expect([service, variable, value]).toEqual([
          service,
          variable,
          expect.stringMatching(/^(0\.0\.0\.0|::)$/),
        ]);
      }
    }
  });

  it('probes ask what is served: liveness and readiness of the internal port, health of vLLM', () => {
    for (const { service, name, container } of ours) {
      for (const probe of ['startupProbe', 'readinessProbe', 'livenessProbe']) {
        const { path, port } = mapAt(container, probe, 'httpGet');
        if (path === undefined) continue;
        const served =
          name === 'vllm' ? { vllm: ['/health'] } : { internal: ['/livez', '/readyz'] };
        const paths = Object.entries(served).find(([key]) => key === port)?.[1];
        expect([service, probe, paths]).toEqual([service, probe, expect.arrayContaining([path])]);
      }
    }
  });

  it('addresses lead to Services of the release, and paths to what is mounted', () => {
    const services = objects.filter(({ kind }) => kind === 'Service');
    for (const { service, env, container } of ours) {
      for (const [variable, value] of Object.entries(env)) {
        const [, host, port] = /^\w+:\/\/(voice-[\w-]+):(\d+)/.exec(value) ?? [];
        if (host) {
          const found = services.find((one) => one.metadata.name === host);
          const served = found ? listAt(found, 'spec', 'ports').map((one) => one['port']) : [];
          expect([service, variable, served]).toEqual([
            service,
            variable,
            expect.arrayContaining([Number(port)]),
          ]);
        }
        if (value.startsWith('/')) {
          const mounts = listAt(container, 'volumeMounts').map(({ mountPath }) =>
            String(mountPath),
          );
          const held = mounts.some((mount) => value === mount || value.startsWith(`${mount}/`));
          expect([service, variable, value, held]).toEqual([service, variable, value, true]);
        }
      }
    }
  });

  it('a worker and the vLLM beside it agree', () => {
    for (const object of objects) {
      const places = containersOf(object);
      const worker = places.find(({ name }) => name === 'asr-worker');
      const vllm = places.find(({ name }) => name === 'vllm');
      if (!worker || !vllm) continue;
      const [asked, served] = [environmentOf(worker.container), environmentOf(vllm.container)];
      expect(asked['VLLM_BASE_URL']).toMatch(
        new RegExp(`//(127\\.0\\.0\\.1|\\[::1\\]):${served['VLLM_PORT']}$`),
      );
      const both = Object.keys(asked).filter(
        (name) => name in served && /^(VLLM|VOXTRAL)_/.test(name),
      );
      expect(both.length).toBeGreaterThan(4);
      for (const name of both) expect([name, asked[name]]).toEqual([name, served[name]]);
    }
  });
});
