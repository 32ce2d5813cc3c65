import { copyFile, cp } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, it } from '@jest/globals';
import { startRedis } from '@voice-fleet/testkit/redis';
import { CHART } from '../../scripts/chart/helm.ts';
import { at } from '../../scripts/chart/kubernetes-object.ts';
import { renderChart } from '../../scripts/chart/render.ts';
import { compileServices } from '../chaos/compile.ts';
import { Cluster } from '../support/kubelet/cluster.ts';
import type { Image } from '../support/kubelet/images.ts';
import { firstCluster } from './first-cluster.fixture.ts';

/** What this machine has of the engine, as the image has it from Debian. */
const SYSTEM = Object.fromEntries(
  Object.entries(process.env).filter(
    (entry): entry is [string, string] =>
      ['PATH', 'LD_LIBRARY_PATH', 'POCKETSPHINX_ROOT'].includes(entry[0]) && entry[1] !== undefined,
  ),
);
const program = (folder: string, file: string): Image => ({
  entrypoint: ['node', '--enable-source-maps', `/app/${folder}/dist/${file}`],
  workingDir: `/app/${folder}`,
  env: SYSTEM,
});

const open: AsyncDisposable[] = [];
let cluster: Cluster;
let rendered: ReturnType<typeof renderChart>;

beforeAll(async () => {
  const compiled = await compileServices();
  open.push(compiled);
  await copyFile(join(CHART, '../../docker/pause.mjs'), join(compiled.root, 'pause.mjs'));
  const recordings = 'packages/client/recordings';
  await cp(join(CHART, '../..', recordings), join(compiled.root, recordings), { recursive: true });
  const redis = await startRedis({ 'maxmemory-policy': 'noeviction' });
  open.push({ [Symbol.asyncDispose]: () => redis.stop() });
  cluster = new Cluster({
    images: {
      gateway: program('services/gateway', 'main.js'),
      'llm-tts': program('services/llm-tts', 'main.js'),
      'asr-worker': program('services/asr-worker', 'main.js'),
      clients: program('packages/client', 'cli/main.js'),
    },
    appFolder: compiled.root,
    hosts: { 'redis.elsewhere': '127.0.0.1' },
  });
  open.push(cluster);
  const { values, set } = firstCluster();
  const here = [
    // Every address of this machine may have one already.
    'redis.embedded.enabled=false',
    `redis.url=redis://redis.elsewhere:${redis.port}`,
    // No load balancer has to let go of them.
    'gateway.pauseSeconds=0',
    'llmTts.pauseSeconds=0',
  ];
  rendered = renderChart({
    release: 'voice',
    namespace: 'default',
    values,
    set: [...set, ...here],
  });
});

afterAll(async () => {
  for (const one of open.reverse()) await one[Symbol.asyncDispose]();
});

it('the commands of docs/operations/first-cluster.md end in the words that it shows', async () => {
  const { secret, words } = firstCluster();
  const stringData = Object.fromEntries(secret.keys.map((key) => [key, 'a-key-of-this-test']));
  await cluster.apply([
    { kind: 'Secret', metadata: { name: secret.name }, stringData },
    ...rendered,
  ]);
  await cluster.settled();
  const hook = rendered.find(
    (one) => at(one, 'metadata', 'annotations', 'helm.sh/hook') === 'test',
  );
  const { succeeded, lines } = await cluster.run(hook);
  expect([succeeded, lines.join('\n')]).toEqual([true, expect.stringContaining(`"${words}"`)]);
});
