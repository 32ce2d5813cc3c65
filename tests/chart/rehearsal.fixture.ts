import { copyFile, writeFile } from 'node:fs/promises';
import { request } from 'node:http';
import { basename, join } from 'node:path';
import { ResumableYapClient } from '@voice-fleet/client/resumable-yap-client';
import { YapClient } from '@voice-fleet/client/yap-client';
import { CHAT_COMPLETIONS_PATH } from '@voice-fleet/protocol/openai-rest';
import { writeWav } from '@voice-fleet/speech/wav';
import { range, speak } from '@voice-fleet/testkit/coded-speech';
import { startRedis, type TestRedis } from '@voice-fleet/testkit/redis';
import { renderChart } from '../../scripts/chart/render.ts';
import { type Compiled, compileServices } from '../chaos/compile.ts';
import { FleetView } from '../chaos/fleet-view.ts';
import { Speaker } from '../chaos/speaker.ts';
import { REPO } from '../support/docker-files.ts';
import { PodPatches } from '../support/kubelet/api-server.ts';
import { Cluster } from '../support/kubelet/cluster.ts';
import { appFiles, dockerfileImage } from '../support/kubelet/dockerfile-image.ts';
import type { Images } from '../support/kubelet/images.ts';
import type { PodRun } from '../support/kubelet/pod-run.ts';
import { DELETION_COST } from '../support/kubelet/workload.ts';
import { until } from '../support/until.ts';

const KEY = 'rehearsal-key';
const RELEASE = 'rehearsal';
const ASK_EVERY_MS = 20;
const VISIT_MS = 20_000;
/** Nodes learn late that a pod goes. */
const LAG_MS = 500;
export const GATEWAY = `${RELEASE}-gateway`;
export const LLM_TTS = `${RELEASE}-llm-tts`;
export const POOL_A = `${RELEASE}-asr-worker-a`;
export const POOL_B = `${RELEASE}-asr-worker-b`;

const NODE_DOCKERFILE = 'docker/node.Dockerfile';
const service = (name: string) => dockerfileImage(NODE_DOCKERFILE, { SERVICE: name });
const NO_CARD = ['node', '--enable-source-maps', '/app/packages/testkit/dist/fake-vllm/main.js'];

/** What needs a card is played: it speaks the wire of vLLM and hears coded speech. */
const IMAGES: Images = {
  gateway: service('gateway'),
  'llm-tts': service('llm-tts'),
  'asr-worker': service('asr-worker'),
  vllm: {
    ...dockerfileImage('docker/vllm.Dockerfile'),
    standIn: (argv, env) => {
      const { VLLM_HOST = '', VLLM_PORT = '', VOXTRAL_SERVED_MODEL_NAME = '' } = env;
      const delay = env['VOXTRAL_TRANSCRIPTION_DELAY_MS'] ?? '';
      // The model is there at once.
      if (argv.at(-1) === 'prepare') return ['node', '-e', ''];
      if (argv.at(-1) !== 'run') throw new Error(`vLLM is started with ${argv.at(-1)}`);
      const where = ['--host', VLLM_HOST, '--port', VLLM_PORT];
      return [...NO_CARD, ...where, '--model', VOXTRAL_SERVED_MODEL_NAME, '--delay-ms', delay];
    },
  },
  clients: {
    ...dockerfileImage('docker/clients.Dockerfile'),
    // Speech that the engine of the rehearsal hears.
    standIn: (argv) => [...argv, '--file', '/app/coded.wav'],
  },
};

/** The release in all its shapes: a StatefulSet with cards, a Deployment with cards, and everything else twice where it may be. */
function valuesOf(redis: TestRedis, revision: string) {
  const podAnnotations = { 'rehearsal/revision': revision };
  const pool = {
    slots: 4,
    drainSeconds: 15,
    podAnnotations,
    config: { ASR_VAD: 'energy', WORKER_TICK_S: 1 },
  };
  return {
    redis: { url: `redis://redis.rehearsal:${redis.port}` },
    auth: { existingSecret: 'voice-keys' },
    // Named as FleetView looks for it; spread, so that whichever pod goes has sessions.
    fleet: { name: 'default', placement: 'spread' },
    gateway: { replicas: 2, pauseSeconds: 5, drainSeconds: 10, podAnnotations },
    llmTts: { replicas: 1, pauseSeconds: 3, drainSeconds: 5, podAnnotations },
    pools: {
      a: { ...pool, replicas: 2 },
      b: { ...pool, kind: 'Deployment', config: { ...pool.config, POD_DELETION_COST_S: 0.2 } },
    },
  };
}

const SECRET = { kind: 'Secret', metadata: { name: 'voice-keys' }, stringData: { 'api-key': KEY } };

/** The chart, installed on a cluster of processes, with people who speak. */
export class Rehearsal implements AsyncDisposable {
  readonly cluster: Cluster;
  readonly patches: PodPatches;
  /** Every cost that a pod of pool b has told, by pod. */
  readonly costs: Map<string, number[]>;
  readonly speakers: Speaker[] = [];
  /** Requests to the language model by way of a gateway, by how they went. */
  readonly replies = { well: 0, failed: [] as string[] };
  readonly #redis: TestRedis;
  readonly #compiled: Compiled;
  readonly #view: FleetView;
  #asking = true;
  #asked: Promise<void> | undefined;

  private constructor(
    cluster: Cluster,
    patches: PodPatches,
    costs: Map<string, number[]>,
    redis: TestRedis,
    compiled: Compiled,
  ) {
    this.cluster = cluster;
    this.patches = patches;
    this.costs = costs;
    this.#redis = redis;
    this.#compiled = compiled;
    this.#view = new FleetView(redis.url);
  }

  static async start(): Promise<Rehearsal> {
    const compiled = await compileServices();
    const redis = await startRedis({ 'maxmemory-policy': 'noeviction' });
    for (const file of appFiles(NODE_DOCKERFILE))
      await copyFile(join(REPO, file), join(compiled.root, basename(file)));
    await writeFile(join(compiled.root, 'coded.wav'), writeWav(speak(range(1, 5)), 16_000));
    const costs = new Map<string, number[]>();
    let cluster: Cluster | undefined;
    const patches = await PodPatches.start((pod, annotations) => {
      costs.set(pod, [...(costs.get(pod) ?? []), Number(annotations[DELETION_COST])]);
      return cluster?.annotate(pod, annotations) ?? false;
    });
    cluster = new Cluster({
      images: IMAGES,
      appFolder: compiled.root,
      namespace: 'speech',
      hosts: { 'redis.rehearsal': '127.0.0.1' },
      accountEnv: patches.accountEnv,
      endpointLagMs: LAG_MS,
    });
    return new Rehearsal(cluster, patches, costs, redis, compiled);
  }

  /** As `helm upgrade --install --wait` does it, and until the last pod of the old revision has gone. */
  async upgrade(revision: string): Promise<void> {
    const values = valuesOf(this.#redis, revision);
    await this.cluster.apply([SECRET, ...renderChart({ release: RELEASE, values })]);
    await this.cluster.until(() => this.cluster.pods.length > 0);
    await this.cluster.settled();
  }

  /** The pod of `helm test`. */
  async test(): Promise<{ succeeded: boolean; lines: readonly string[] }> {
    const values = valuesOf(this.#redis, '1');
    const hook = renderChart({ release: RELEASE, values }).find(
      ({ metadata }) => (metadata['annotations'] as never)?.['helm.sh/hook'] === 'test',
    );
    return this.cluster.run(hook);
  }

  /** People who speak without a pause; settles when each has been heard. */
  async speak(count: number): Promise<void> {
    const { ip } = this.cluster.service(GATEWAY);
    const urls = [new URL(`ws://${ip}:8000/api/asr-streaming`)];
    for (let index = 0; index < count; index += 1) {
      const speaker = new Speaker({ index, speakers: count, awaitsAcks: true });
      this.speakers.push(speaker);
      speaker.start(({ onFrame }) => ResumableYapClient.connect({ urls, apiKey: KEY, onFrame }));
    }
    await this.heard(0);
  }

  /** Settles when each of them has got a word that was said after this, or has failed. */
  heard(sinceMs = performance.now()): Promise<void> {
    return until(
      () =>
        this.speakers.every(
          ({ failures, utterances }) =>
            failures.length > 0 ||
            utterances.some(({ said, heard }) => {
              const last = heard.at(-1)?.text.trim().split(/\s+/).at(-1);
              return said.some(({ word, atMs }) => atMs > sinceMs && word === last);
            }),
        ),
      'everybody is heard',
    );
  }

  /** Asks for one reply after the other, each over a connection of its own, until `stop`. */
  ask(): void {
    const { ip } = this.cluster.service(GATEWAY);
    const url = new URL(CHAT_COMPLETIONS_PATH, `http://${ip}:8000`);
    const body = { model: 'builtin-rules', messages: [{ role: 'user', content: 'Two and two?' }] };
    this.#asked ??= (async () => {
      while (this.#asking) {
        const status = await post(url, body).catch(String);
        if (status === 200) this.replies.well += 1;
        else this.replies.failed.push(String(status));
        await new Promise((resolve) => setTimeout(resolve, ASK_EVERY_MS));
      }
    })();
  }

  /** A new session with one gateway, past its Service: what it hears of five words. */
  async visit({ ip }: PodRun): Promise<string> {
    const url = new URL(`ws://${ip}:8000/api/asr-streaming`);
    const client = await YapClient.connect({ url, apiKey: KEY });
    const utterance = client.utterance();
    utterance.append(speak(range(1, 5)));
    utterance.finalize();
    const { finalText } = await utterance.result(VISIT_MS);
    await client.close();
    return finalText.trim();
  }

  async stop(): Promise<void> {
    this.#asking = false;
    await Promise.all([this.#asked, ...this.speakers.map((speaker) => speaker.stop())]);
  }

  /** Pods of workers that hold sessions, with how many. */
  async sessions(): Promise<Map<string, number>> {
    const held = new Map<string, number>();
    for (const [worker, sessions] of await this.#view.sessionsByWorker())
      held.set(worker.replace(/-[\da-f]{8}$/, ''), sessions.length);
    return held;
  }

  pods(name: string): readonly PodRun[] {
    return this.cluster.podsOf(name);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#asking = false;
    await Promise.all([this.#asked, ...this.speakers.map((each) => each.client?.close())]);
    await this.cluster[Symbol.asyncDispose]();
    await this.patches[Symbol.asyncDispose]();
    await this.#view[Symbol.asyncDispose]();
    await this.#redis.stop();
    await this.#compiled.remove();
  }
}

/** One request over a connection of its own; its status when the answer has come to its end. */
function post(url: URL, body: object): Promise<number | undefined> {
  return new Promise((resolve, reject) => {
    const headers = { authorization: `Bearer ${KEY}`, 'content-type': 'application/json' };
    const asked = request(url, { method: 'POST', headers, agent: false }, (answer) => {
      answer.resume();
      answer.once('error', reject);
      answer.once('end', () => resolve(answer.statusCode));
    });
    asked.once('error', reject);
    asked.end(JSON.stringify(body));
  });
}
