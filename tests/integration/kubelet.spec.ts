import { once } from 'node:events';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { connect, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { FakeClock } from '@voice-fleet/testkit/fake-clock';
import { Cluster, type ClusterOptions } from '../support/kubelet/cluster.ts';
import {
  container,
  deployment,
  NOTE,
  POD_IP,
  pod,
  QUICK,
  SERVE,
  SERVICE,
  scriptImages,
  server,
} from '../support/kubelet/script-containers.ts';
import { until } from '../support/until.ts';

let folder: string;
let notes: string;
let cluster: Cluster;

function start(options: Partial<ClusterOptions> = {}): Cluster {
  cluster = new Cluster({
    images: scriptImages(notes),
    appFolder: folder,
    endpointLagMs: 0,
    ...options,
  });
  return cluster;
}

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'kubelet-spec-'));
  notes = join(folder, 'notes');
  writeFileSync(notes, '');
});
afterEach(async () => {
  await cluster[Symbol.asyncDispose]();
  rmSync(folder, { recursive: true });
});

const noted = (): string[] => readFileSync(notes, 'utf8').trim().split('\n');

describe('a pod that is run as processes', () => {
  it('starts in the order of its containers: init, sidecar, and then the others', async () => {
    const once = `${NOTE} clearInterval(keep);`;
    const result = await start().run(
      pod({
        initContainers: [
          container('first', once),
          container('sidecar', SERVE, {
            restartPolicy: 'Always',
            startupProbe: {
              httpGet: { path: '/alive', port: 8080 },
              ...QUICK,
              failureThreshold: 99,
            },
          }),
          container('last', once),
        ],
        containers: [container('main', `${once} console.log('done');`)],
      }),
    );
    expect(result.succeeded).toBe(true);
    expect(result.lines).toContain('done');
    // The sidecar has nobody to serve when the pod is over.
    expect(noted()).toEqual([
      'first runs',
      'sidecar runs',
      'last runs',
      'main runs',
      'sidecar told to stop',
      'sidecar ends',
    ]);
  });

  it('has failed when a container of it did, or one before it', async () => {
    start();
    const bad = container('bad', 'process.exit(3)');
    expect((await cluster.run(pod({ containers: [bad] }))).succeeded).toBe(false);
    const spec = { initContainers: [bad], containers: [container('main', NOTE)] };
    expect((await cluster.run(pod(spec))).succeeded).toBe(false);
    expect(noted()).toEqual(['']);
  });

  it('ends as a kubelet ends it: hooks, then its containers, then sidecars from the last to the first', async () => {
    const sidecar = (name: string): object => container(name, NOTE, { restartPolicy: 'Always' });
    const hook = `require('fs').appendFileSync(process.env.NOTES, 'hook begins\\n'); setTimeout(() => require('fs').appendFileSync(process.env.NOTES, 'hook ends\\n'), 50)`;
    start();
    await cluster.apply([
      deployment(
        {},
        {
          spec: {
            terminationGracePeriodSeconds: 20,
            initContainers: [sidecar('one'), sidecar('two')],
            containers: [
              container('main', NOTE, {
                lifecycle: { preStop: { exec: { command: ['node', '-e', hook] } } },
              }),
            ],
          },
        },
      ),
    ]);
    await cluster.settled();
    await until(() => noted().length === 3, 'all of them run');
    cluster.scale('web', 0);
    await cluster.settled();
    expect(noted().slice(3)).toEqual([
      'hook begins',
      'hook ends',
      'main told to stop',
      'main ends',
      'two told to stop',
      'two ends',
      'one told to stop',
      'one ends',
    ]);
    expect(
      cluster.exits.map(({ container: name, code, asked, killed }) => [name, code, asked, killed]),
    ).toEqual([
      ['main', 0, 'deletion', false],
      ['two', 0, 'deletion', false],
      ['one', 0, 'deletion', false],
    ]);
    expect(cluster.exits[0]?.preStop).toEqual({ code: 0, signal: null });
  });

  it('is killed when its grace is over, and not before two seconds', async () => {
    const clock = new FakeClock();
    start({ clock });
    const deaf = container('deaf', NOTE, {
      env: [
        { name: 'NAME', value: 'deaf' },
        { name: 'DEAF', value: '1' },
      ],
    });
    await cluster.apply([
      deployment({}, { spec: { terminationGracePeriodSeconds: 1, containers: [deaf] } }),
    ]);
    await until(() => noted().includes('deaf runs'), 'it runs');
    cluster.scale('web', 0);
    await until(() => noted().includes('deaf told to stop'), 'it is told');
    clock.advance(1_999);
    expect(cluster.exits).toEqual([]);
    clock.advance(1);
    await cluster.settled();
    expect(cluster.exits).toMatchObject([{ signal: 'SIGKILL', killed: true, asked: 'deletion' }]);
  });

  it('comes back when it crashes: at once, then later each time', async () => {
    const clock = new FakeClock();
    start({ clock });
    await cluster.apply([
      deployment({}, { spec: { containers: [container('main', 'process.exit(1)')] } }),
    ]);
    const crashes = (count: number): Promise<void> =>
      until(() => cluster.exits.length === count, `it has crashed ${count} times`);
    const restarts = (): number => cluster.pods[0]?.container('main').restarts ?? 0;
    await crashes(1);
    clock.advance(0);
    expect(restarts()).toBe(1);
    for (const [count, backOffMs] of [
      [2, 10_000],
      [3, 20_000],
    ] as const) {
      await crashes(count);
      clock.advance(backOffMs - 1);
      expect(restarts()).toBe(count - 1);
      clock.advance(1);
      expect(restarts()).toBe(count);
    }
    await crashes(4);
    expect(cluster.exits.every(({ asked, code }) => asked === undefined && code === 1)).toBe(true);
  });

  it('is started anew when it does not live, after it was asked to stop', async () => {
    const alive = join(folder, 'alive');
    writeFileSync(alive, '');
    start();
    const env = [{ name: 'ALIVE', value: alive }];
    const livenessProbe = {
      httpGet: { path: '/alive', port: 'web' },
      ...QUICK,
      failureThreshold: 3,
    };
    await cluster.apply([
      deployment({}, { spec: { containers: [server(env, { livenessProbe })] } }),
    ]);
    await cluster.settled();
    rmSync(alive);
    await until(() => cluster.exits.length === 1, 'it was ended');
    writeFileSync(alive, '');
    await cluster.settled();
    expect(cluster.exits).toMatchObject([{ asked: 'liveness', killed: false, code: 0 }]);
    expect(cluster.pods[0]?.container('main').tries.liveness.ill).toBe(3);
  });

  it('has the environment that was rendered, and paths and addresses of this host in it', async () => {
    start({ hosts: { 'redis.example': '127.0.0.1' } });
    await cluster.apply([
      { kind: 'ConfigMap', metadata: { name: 'words' }, data: { greeting: 'hello', A: '1' } },
      {
        kind: 'Secret',
        metadata: { name: 'keys' },
        data: { key: Buffer.from('s3cret').toString('base64') },
      },
      SERVICE,
    ]);
    const shown =
      'console.log(JSON.stringify(process.env)); console.log(require("fs").readFileSync(process.env.FILE, "utf8"))';
    const { lines, succeeded } = await cluster.run(
      pod({
        enableServiceLinks: false,
        volumes: [
          { name: 'words', configMap: { name: 'words' } },
          { name: 'tmp', emptyDir: {} },
        ],
        containers: [
          {
            name: 'main',
            image: 'script@sha256:0',
            args: [shown],
            envFrom: [{ prefix: 'W_', configMapRef: { name: 'words' } }],
            env: [
              POD_IP,
              { name: 'KEY', valueFrom: { secretKeyRef: { name: 'keys', key: 'key' } } },
              {
                name: 'NONE',
                valueFrom: { secretKeyRef: { name: 'none', key: 'key', optional: true } },
              },
              { name: 'BOTH', value: '$(W_greeting) $(UNKNOWN) $$(W_greeting)' },
              { name: 'CORES', valueFrom: { resourceFieldRef: { resource: 'limits.cpu' } } },
              { name: 'FILE', value: '/etc/words/greeting' },
              { name: 'BIND', value: '0.0.0.0' },
              { name: 'OWN', value: 'http://127.0.0.1:8300/health' },
              { name: 'OTHER', value: 'http://web.default.svc:80' },
              { name: 'OUTSIDE', value: 'redis://:pass@redis.example:6379' },
              { name: 'WORD', value: 'web' },
            ],
            resources: { limits: { cpu: '1500m' } },
            volumeMounts: [
              { name: 'words', mountPath: '/etc/words' },
              { name: 'tmp', mountPath: '/tmp' },
            ],
          },
        ],
      }),
    );
    expect(succeeded).toBe(true);
    const env = JSON.parse(lines[0] ?? '') as Record<string, string>;
    const ip = env['POD_IP'];
    expect(env).toMatchObject({
      W_greeting: 'hello',
      KEY: 's3cret',
      BOTH: 'hello $(UNKNOWN) $(W_greeting)',
      CORES: '2',
      BIND: ip,
      OWN: `http://${ip}:8300/health`,
      OTHER: `http://${cluster.service('web').ip}:80`,
      OUTSIDE: 'redis://:pass@127.0.0.1:6379',
      WORD: 'web',
    });
    expect(env['NONE']).toBeUndefined();
    expect(env['TMPDIR']).toMatch(/kubelet-/);
    // Nothing of this process but where programs are.
    expect(env['NODE_ENV']).toBeUndefined();
    expect(lines[1]).toBe('hello');
  });

  it('tells how far it came when it does not come further', async () => {
    const clock = new FakeClock();
    start({ clock });
    const probe = { httpGet: { path: '/', port: 8080 } };
    const mute = container('mute', `${NOTE} console.log('I am mute');`, { readinessProbe: probe });
    await cluster.apply([deployment({}, { spec: { containers: [mute] } })]);
    await until(() => noted().length === 1 && noted()[0] !== '', 'it runs');
    await until(() => cluster.pods[0]?.container('mute').lines.length === 1, 'it has said so');
    const settled = cluster.settled();
    clock.advance(100_000);
    await expect(settled).rejects.toThrow(
      /web-\w+-\w+ mute runs, 0 restarts, never well: readiness\n {4}I am mute/,
    );
  });

  it.each([
    ['a kind that it does not know', { kind: 'DaemonSet', metadata: { name: 'x' } }, 'DaemonSet'],
    [
      'a probe that it would pass over',
      deployment(
        {},
        { spec: { containers: [container('a', '', { livenessProbe: { grpc: {} } })] } },
      ),
      'grpc',
    ],
  ])('refuses %s', async (_what, object, message) => {
    await expect(start().apply([object])).rejects.toThrow(message);
  });
});

/** A connection that has been told who is there. */
async function call(): Promise<{ socket: Socket; name: string }> {
  const socket = connect({ host: cluster.service('web').ip, port: 80 });
  socket.on('error', () => undefined);
  const [data] = (await once(socket, 'data')) as [Buffer];
  return { socket, name: data.toString().trim() };
}

describe('the address of a Service', () => {
  it('leads to pods that are ready and not ending; those who talk to one that ends go on', async () => {
    const ready = join(folder, 'ready');
    start();
    const preStop = { exec: { command: ['node', '-e', 'setTimeout(() => {}, 600)'] } };
    const main = server([{ name: 'READY', value: ready }], { lifecycle: { preStop } });
    await cluster.apply([SERVICE, deployment({ replicas: 2 }, { spec: { containers: [main] } })]);
    await cluster.until(() => cluster.pods.every((each) => each.container('main').started));
    expect(cluster.service('web').endpoints).toEqual([]);
    writeFileSync(ready, '');
    await cluster.settled();
    await until(() => cluster.service('web').endpoints.length === 2, 'both are known');
    const calls = [await call(), await call()];
    expect(new Set(calls.map(({ name }) => name)).size).toBe(2);

    cluster.scale('web', 1);
    await until(() => cluster.service('web').endpoints.length === 1, 'one is left');
    const [kept] = cluster.service('web').endpoints;
    for (let each = 0; each < 4; each += 1) calls.push(await call());
    expect(calls.slice(2).map(({ name }) => name)).toEqual([kept, kept, kept, kept]);
    const old = calls.find(({ name }) => name !== kept);
    old?.socket.write('still there?');
    const [answer] = (await once(old?.socket as Socket, 'data')) as [Buffer];
    expect(answer.toString()).toBe('still there?');
    for (const { socket } of calls) socket.destroy();
    await cluster.settled();
    expect(cluster.service('web').refusals).toEqual([]);
  });

  it('learns late of who goes, so that who does not pause is called in vain', async () => {
    const clock = new FakeClock();
    start({ clock, endpointLagMs: 300 });
    const main = { ...server(), startupProbe: undefined, readinessProbe: undefined };
    await cluster.apply([SERVICE, deployment({}, { spec: { containers: [main] } })]);
    await until(() => noted()[0] !== '', 'it runs');
    expect(cluster.service('web').endpoints).toEqual([]);
    clock.advance(300);
    expect(cluster.service('web').endpoints).toHaveLength(1);
    const [pod] = cluster.pods;
    cluster.scale('web', 0);
    await until(() => cluster.pods.length === 0, 'it has gone');
    const socket = connect({ host: cluster.service('web').ip, port: 80 });
    await once(
      socket.on('error', () => undefined),
      'close',
    );
    expect(cluster.service('web').refusals).toEqual([{ port: 80, pod: pod?.name }]);
    clock.advance(300);
    expect(cluster.service('web').endpoints).toEqual([]);
  });

  it('refuses while nobody is there, and tells of it', async () => {
    start();
    await cluster.apply([SERVICE]);
    const socket = connect({ host: cluster.service('web').ip, port: 80 });
    const [error] = (await once(socket, 'error')) as [NodeJS.ErrnoException];
    expect(error.code).toBe('ECONNRESET');
    expect(cluster.service('web').refusals).toEqual([{ port: 80, pod: undefined }]);
  });
});
