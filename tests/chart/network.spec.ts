import { describe, expect, it } from '@jest/globals';
import {
  at,
  type JsonObject,
  type KubernetesObject,
  listAt,
  mapAt,
} from '../../scripts/chart/kubernetes-object.ts';
import { matrix } from '../../scripts/chart/matrix.ts';
import { renderChart } from '../../scripts/chart/render.ts';
import { containersOf, podOf, selects } from '../../scripts/chart/rules/rule.ts';

type Peer =
  | { readonly labels: JsonObject; readonly namespace: JsonObject }
  | { readonly outside: true };

/** What NetworkPolicies of a release let through, as Kubernetes reads them: both ends must agree. */
class Network {
  readonly #objects: readonly KubernetesObject[];
  readonly #policies: readonly KubernetesObject[];

  constructor(objects: readonly KubernetesObject[]) {
    this.#objects = objects;
    this.#policies = objects.filter(({ kind }) => kind === 'NetworkPolicy');
  }

  /** The pod of a component, or of one of its pools. */
  pod(component: string, pool?: string): KubernetesObject {
    const found = this.#objects.find((object) => {
      const labels = podOf(object)?.labels ?? {};
      const same = labels['app.kubernetes.io/component'] === component;
      return same && (pool === undefined || labels['voice-fleet/pool'] === pool);
    });
    if (!found) throw new Error(`there is no ${component}`);
    return found;
  }

  between(from: KubernetesObject, to: KubernetesObject, port: number): boolean {
    const [source, target] = [peerOf(from), peerOf(to)];
    return (
      this.#lets('egress', from, target, port, to) && this.#lets('ingress', to, source, port, to)
    );
  }

  out(from: KubernetesObject, port: number, protocol = 'TCP'): boolean {
    return this.#lets('egress', from, { outside: true }, port, undefined, protocol);
  }

  into(to: KubernetesObject, port: number, peer: Peer = { outside: true }): boolean {
    return this.#lets('ingress', to, peer, port, to);
  }

  #lets(
    direction: 'ingress' | 'egress',
    pod: KubernetesObject,
    peer: Peer,
    port: number,
    target: KubernetesObject | undefined,
    protocol = 'TCP',
  ): boolean {
    const type = direction === 'ingress' ? 'Ingress' : 'Egress';
    const own = this.#policies.filter((one) => {
      const types = at(one, 'spec', 'policyTypes');
      const closes = Array.isArray(types) && types.includes(type);
      return closes && selects(mapAt(one, 'spec', 'podSelector'), podOf(pod)?.labels ?? {});
    });
    if (own.length === 0) return true;
    return own.some((policy) =>
      listAt(policy, 'spec', direction).some((rule) => {
        const peers = listAt(rule, direction === 'ingress' ? 'from' : 'to');
        const ports = listAt(rule, 'ports');
        return (
          (peers.length === 0 || peers.some((one) => fits(one, peer))) &&
          (ports.length === 0 ||
            ports.some(
              (one) =>
                (one['protocol'] ?? 'TCP') === protocol && numberOf(one['port'], target) === port,
            ))
        );
      }),
    );
  }
}

function peerOf(object: KubernetesObject): Peer {
  return { labels: podOf(object)?.labels ?? {}, namespace: { name: 'release' } };
}

function fits(rule: JsonObject, peer: Peer): boolean {
  if ('outside' in peer) return 'ipBlock' in rule;
  const here = peer.namespace['name'] === 'release';
  const namespace = rule['namespaceSelector']
    ? selects(mapAt(rule, 'namespaceSelector'), peer.namespace)
    : here;
  return namespace && selects(mapAt(rule, 'podSelector'), peer.labels);
}

/** A port by its name is one of the pod that is spoken to. */
function numberOf(port: unknown, target: KubernetesObject | undefined): number | undefined {
  if (typeof port === 'number') return port;
  const ports = target
    ? containersOf(target).flatMap(({ container }) => listAt(container, 'ports'))
    : [];
  return ports.find(({ name }) => name === port)?.['containerPort'] as number | undefined;
}

const options = matrix().find(({ name }) => name === 'everything on')?.options ?? {};
const ownRedis = {
  values: {
    auth: { existingSecret: 'keys' },
    redis: { embedded: { enabled: true } },
    pools: { cpu: { engine: 'pocketsphinx' } },
  },
};

describe('the network of a release', () => {
  const network = new Network(renderChart(options));
  const gateway = network.pod('gateway');
  const worker = network.pod('asr-worker', 'l40s');
  const llmTts = network.pod('llm-tts');

  it('lets everybody reach gateways, and gateways reach workers and llm-tts', () => {
    for (const port of [8000, 8443]) expect(network.into(gateway, port)).toBe(true);
    for (const pool of ['l40s', 'canary', 'hpa', 'moving', 'small']) {
      expect([pool, network.between(gateway, network.pod('asr-worker', pool), 8200)]).toEqual([
        pool,
        true,
      ]);
    }
    expect(network.between(gateway, llmTts, 8400)).toBe(true);
  });

  it('lets nobody else reach workers and llm-tts, nor the internal ports but those who scrape', () => {
    const stranger: Peer = { labels: { app: 'other' }, namespace: { name: 'release' } };
    const scraper: Peer = { labels: { app: 'prometheus' }, namespace: { name: 'monitoring' } };
    for (const [pod, ports, internal] of [
      [worker, [8200, 8300], 9200],
      [llmTts, [8400], 9102],
      [gateway, [], 9100],
    ] as const) {
      for (const port of [...ports, internal]) {
        expect([port, network.into(pod, port), network.into(pod, port, stranger)]).toEqual([
          port,
          false,
          false,
        ]);
      }
      expect([internal, network.into(pod, internal, scraper)]).toEqual([internal, true]);
    }
    expect(network.between(llmTts, worker, 8200)).toBe(false);
    expect(network.between(worker, gateway, 9100)).toBe(false);
  });

  it('keeps vLLM, which asks for no key, from all but its pod until somebody is to scrape it', () => {
    const scraper: Peer = { labels: { app: 'prometheus' }, namespace: { name: 'monitoring' } };
    const vllm = { ...ownRedis.values, pools: { card: {} } };
    const open = (more: JsonObject): boolean => {
      const one = new Network(renderChart({ values: { ...vllm, ...more } }));
      return one.into(one.pod('asr-worker', 'card'), 8300, scraper);
    };
    expect(open({})).toBe(false);
    expect(open({ networkPolicy: { monitoringNamespace: { name: 'monitoring' } } })).toBe(true);
    expect(open({ crdChecks: false, monitoring: { scrape: { enabled: true } } })).toBe(true);
  });

  it('lets clients of the release reach gateways and nothing else', () => {
    for (const component of ['test', 'loadtest']) {
      const client = network.pod(component);
      expect([component, network.between(client, gateway, 8000)]).toEqual([component, true]);
      expect([component, network.between(client, worker, 8200)]).toEqual([component, false]);
      expect([component, network.out(client, 443)]).toEqual([component, false]);
    }
  });

  it('lets all ask names and Redis', () => {
    for (const pod of [gateway, worker, llmTts]) {
      expect(network.out(pod, 53, 'UDP')).toBe(true);
      expect(network.out(pod, 53)).toBe(true);
      expect(network.out(pod, 6379)).toBe(true);
      expect(network.out(pod, 25)).toBe(false);
    }
  });

  it('lets services reach what their values name, on the port that is in its address', () => {
    // http://llm:8000, http://tts:8000, http://store:9000 and http://collector:4318.
    expect(network.out(llmTts, 8000)).toBe(true);
    expect(network.out(gateway, 9000)).toBe(true);
    expect(network.out(worker, 9000)).toBe(true);
    for (const pod of [gateway, worker, llmTts]) expect(network.out(pod, 4318)).toBe(true);
    expect(network.out(gateway, 8001)).toBe(false);
    const plain = new Network(
      renderChart({
        values: {
          ...ownRedis.values,
          redis: { url: 'redis://cache:6380' },
          llmTts: { llm: { baseUrl: 'http://llm/v1' } },
        },
      }),
    );
    expect(plain.out(plain.pod('llm-tts'), 80)).toBe(true);
    expect(plain.out(plain.pod('gateway'), 80)).toBe(false);
    expect(plain.out(plain.pod('gateway'), 6380)).toBe(true);
  });

  it('lets a worker that needs nothing outside reach nothing there', () => {
    const own = new Network(renderChart(ownRedis));
    const [small, redis] = [own.pod('asr-worker'), own.pod('redis')];
    expect(own.between(small, redis, 6379)).toBe(true);
    for (const port of [443, 80, 4318, 6379])
      expect([port, own.out(small, port)]).toEqual([port, false]);
    for (const port of [53, 443, 6379]) expect([port, own.out(redis, port)]).toEqual([port, false]);
    expect(own.into(redis, 6379)).toBe(false);
    expect(own.between(own.pod('test'), redis, 6379)).toBe(false);
  });
});
