import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { fileURLToPath } from 'node:url';
import { afterAll, afterEach, beforeAll, describe, expect, it } from '@jest/globals';
import { Interrupted } from '@voice-fleet/client/cli/guard';
import {
  type FakeYapServer,
  type Fault,
  startFakeYapServer,
} from '@voice-fleet/client/yap-server.fixture';
import { writeWav } from '@voice-fleet/speech/wav';
import { runClient as client } from '../support/client-run.ts';

const REPO = fileURLToPath(new URL('../..', import.meta.url));
const CHILD_MS = 20_000;
const SHORT_MS = 60;
let folder = '';
let recording = '';
let server: FakeYapServer | undefined;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'voice-fleet-cli-'));
  recording = join(folder, 'short.wav');
  await writeFile(recording, writeWav(Buffer.alloc(5 * 2560), 16_000));
});
afterAll(() => rm(folder, { recursive: true }));
afterEach(async () => {
  await server?.stop();
  server = undefined;
});

async function start(
  fault?: Fault | ((session: number) => Fault | undefined),
  apiKey?: string,
): Promise<string> {
  server = await startFakeYapServer({
    fault: typeof fault === 'function' ? fault : () => fault,
    ...(apiKey === undefined ? {} : { apiKey }),
  });
  return server.url.href;
}

/** A recording of 0.4 s at twenty times its speed. */
const quick = (): string[] => ['--file', recording, '--speed', '20'];

describe('bench', () => {
  const bench = (address: string, ...more: string[]): string[] => [
    'bench',
    ...['--server', address, '--n', '6', '--concurrency', '3', '--json', ...quick(), ...more],
  ];

  it('exits 0 and fills every row when all sessions come back', async () => {
    const { code, stdout } = await client(bench(await start()));
    expect(code).toBe(0);
    const summary = JSON.parse(stdout);
    expect(summary).toMatchObject({ ok: true, n: 6, transcribed: 6, rejected: 0, errors: 0 });
    for (const row of Object.values(summary.rows)) {
      expect(row).toEqual({
        avg: expect.any(Number),
        p50: expect.any(Number),
        p95: expect.any(Number),
      });
    }
    expect(server?.peakSessions()).toBeLessThanOrEqual(3);
    expect(server?.received.filter((type) => type === 'end')).toHaveLength(6);
  });

  it.each<Fault>([
    'engine error',
    'error with unknown id',
    'close 1008',
    'drop in mid utterance',
    'done without final',
    'not the dialect',
    'idle close',
  ])('counts "%s" as an error and exits 1', async (fault) => {
    const address = await start((session) => (session === 2 ? fault : undefined));
    const { code, stdout } = await client(bench(address));
    expect(code).toBe(1);
    expect(JSON.parse(stdout)).toMatchObject({ ok: false, transcribed: 5, rejected: 0, errors: 1 });
  });

  it.each<[Fault, RegExp]>([
    ['close 1013', /^2 × .* has no free slot: /m],
    ['capacity frame', /^2 × .* has no free slot: /m],
    ['close 1012', /^2 × .* takes no sessions right now: /m],
    ['unavailable frame', /^2 × .* takes no sessions right now: /m],
  ])('counts "%s" as a rejection, explains it once, and exits 1', async (fault, sentence) => {
    const address = await start((session) => ([2, 3].includes(session) ? fault : undefined));
    const { code, stdout, stderr } = await client(bench(address));
    expect(code).toBe(1);
    expect(JSON.parse(stdout)).toMatchObject({ transcribed: 4, rejected: 2, errors: 0 });
    expect(stderr).toMatch(sentence);
  });

  it.each<Fault>(['no session.created', 'silence after the final commit'])(
    'counts "%s" as an error in bounded time',
    async (fault) => {
      const io = { connectTimeoutMs: SHORT_MS, sessionTimeoutMs: 4 * SHORT_MS };
      const { code, stdout } = await client(bench(await start(fault)), io);
      expect(code).toBe(1);
      expect(JSON.parse(stdout)).toMatchObject({ transcribed: 0, rejected: 0, errors: 6 });
    },
  );

  it('counts a wrong key as errors and says once what to do', async () => {
    const { code, stdout, stderr } = await client(bench(await start(undefined, 'secret')));
    expect(code).toBe(1);
    expect(JSON.parse(stdout)).toMatchObject({
      rejected: 0,
      errors: 6,
      errorKinds: { authentication_failed: 6 },
    });
    expect(stderr.match(/--voxtral-key/g)).toHaveLength(1);
  });

  it('prints a table for people', async () => {
    const args = bench(await start()).filter((arg) => arg !== '--json');
    const { stdout } = await client(args);
    expect(stdout).toMatch(/avg +p50 +p95/);
    expect(stdout).toMatch(/Flush → Final +\d+ ms +\d+ ms +\d+ ms/);
    expect(stdout).toMatch(/6 asked, 6 transcribed/);
  });
});

describe('warmup', () => {
  it('shows each partial with its time and counts those before the last chunk', async () => {
    const { code, stdout, stderr } = await client([
      ...['warmup', '--server', await start(), ...quick()],
    ]);
    expect(code).toBe(0);
    expect(stderr.match(/\+0\.\d\d s {2}token/g)).toHaveLength(5);
    expect(stdout).toContain('w0 w1 w2 w3 w4');
    expect(stdout).toMatch(/Partials +5, \d of them before the last chunk was sent/);
  });

  it('reads server and key from the environment', async () => {
    const env = { VOXTRAL_SERVER: await start(undefined, 'k'), VOXTRAL_API_KEY: 'k' };
    const { code, stdout } = await client(['warmup', '--json', ...quick()], { env });
    expect(code).toBe(0);
    expect(JSON.parse(stdout)).toMatchObject({ ok: true, tokensMatchFinal: true });
  });

  it('compares its time with the audio as sent, not with the recording', async () => {
    const address = await start();
    const files = ['--file1', recording, '--file2', recording, '--speed', '20', '--pause-s', '0'];
    const one = await client(['warmup', '--json', '--server', address, ...quick()]);
    const two = await client(['convo', '--json', '--server', address, ...files]);
    for (const { metrics } of [JSON.parse(one.stdout), JSON.parse(two.stdout).segments[1]]) {
      expect(metrics.audioS).toBe(0.4);
      expect(metrics.rtfServer).toBeCloseTo(metrics.finalFromFirstAudioMs / 20, 1);
      expect(metrics.behindAudioMs).toBeCloseTo(metrics.finalFromFirstAudioMs - 20, 1);
    }
    const { metrics } = JSON.parse(one.stdout);
    expect(metrics.rtfFull).toBeCloseTo(metrics.wallMs / 20, 1);
  });

  it('says that nothing listens, and what to do', async () => {
    const address = await start();
    await server?.stop();
    const { code, stderr } = await client(['warmup', '--server', address, ...quick()]);
    expect(code).toBe(1);
    expect(stderr).toMatch(/Nothing listens at .* start the fleet with `npm start`/);
  });

  it.each(['signal', 'stop'] as const)('ends orderly on %s with exit code 130', async (signal) => {
    const interrupt = new AbortController();
    const address = await start();
    const { code, stderr } = await client(['warmup', '--server', address, '--file', recording], {
      [signal]: interrupt.signal,
      stderr: (text) => {
        if (text.includes('token')) interrupt.abort(new Interrupted());
      },
    });
    expect(code).toBe(130);
    expect(stderr).toMatch(/Interrupted\.\n$/);
    expect(server?.closeCodes).toEqual([1000]);
  });
});

describe('idle', () => {
  it('passes on 4000 only', async () => {
    const { code, stdout } = await client([
      'idle',
      '--json',
      '--server',
      await start('idle close'),
    ]);
    expect(code).toBe(0);
    expect(JSON.parse(stdout)).toMatchObject({ ok: true, verdict: 'PASS', closeCode: 4000 });
  });

  it('fails when 4000 comes well before the limit that was named', async () => {
    const args = ['idle', '--expect-s', '150', '--server', await start('idle close')];
    const { code, stdout } = await client(args);
    expect(code).toBe(1);
    expect(stdout).toMatch(/FAIL: closed too early/);
  });

  it.each<Fault>([
    'close 1008',
    'close 1013',
    'close 1008 after the greeting',
    'close 1000 after the greeting',
  ])('fails on "%s"', async (fault) => {
    expect((await client(['idle', '--server', await start(fault)])).code).toBe(1);
  });

  it('fails on a wrong key', async () => {
    const { code, stderr } = await client(['idle', '--server', await start(undefined, 'secret')]);
    expect(code).toBe(1);
    expect(stderr).toMatch(/--voxtral-key/);
  });

  it('fails when no close comes at all', async () => {
    const limits = ['--expect-s', '0.01', '--grace-period', '0'];
    const { code, stdout } = await client(['idle', ...limits, '--server', await start()]);
    expect(code).toBe(1);
    expect(stdout).toMatch(/FAIL: the session is still open/);
  });
});

describe('convo', () => {
  it('speaks two utterances on one connection', async () => {
    const address = await start();
    const files = ['--file1', recording, '--file2', recording, '--speed', '20'];
    const { code, stdout } = await client([
      ...['convo', '--json', '--pause-s', '0', '--server', address, ...files],
    ]);
    expect(code).toBe(0);
    expect(JSON.parse(stdout).segments).toMatchObject([
      { text: ' w0 w1 w2 w3 w4', metrics: { partials: 5 } },
      { text: ' w0 w1 w2 w3 w4', metrics: { partials: 5 } },
    ]);
    expect(server?.keys).toHaveLength(1);
  });
});

describe('remote', () => {
  it('takes a full URL', async () => {
    const { code } = await client(['remote', '--server', await start(), ...quick()]);
    expect(code).toBe(0);
  });

  it('asks for an address rather than dialling localhost', async () => {
    const { code, stderr } = await client(['remote', ...quick()]);
    expect(code).toBe(2);
    expect(stderr).toMatch(/remote needs an address/);
  });

  it('dials wss when the address has no scheme', async () => {
    const address = new URL(await start()).host;
    const { code, stderr } = await client(['remote', '--server', address, ...quick()]);
    expect(code).toBe(1);
    expect(stderr).toMatch(/Cannot connect to wss:/);
  });
});

describe('the command line', () => {
  it.each(['smoke', 'warmup', 'bench', 'loadtest', 'idle', 'convo', 'remote'])(
    'explains %s with --help',
    async (name) => {
      const { code, stdout } = await client([name, '--help']);
      expect(code).toBe(0);
      expect(stdout).toContain(`npm run client -- ${name}`);
      expect(stdout).toContain('--voxtral-key');
    },
  );

  it.each([
    [['dance'], /There is no command "dance"/],
    [[], /Which command/],
    [['bench', '--m', '3'], /Unknown option '--m'/],
    [['bench', '--n', '0'], /--n takes a number above 0/],
    [['bench', '--n', '1.5'], /--n takes a whole number/],
    [['warmup', '--server', 'ftp://x'], /is not a server address/],
  ])('refuses %j with exit code 2', async (argv, message) => {
    const { code, stderr } = await client(argv);
    expect(code).toBe(2);
    expect(stderr).toMatch(message);
  });

  it('ends when it has finished, with all it wrote, though a handle is left', async () => {
    // As `npm run client`, in a process whose timer never ends.
    const stray = 'data:text/javascript,setInterval(() => {}, 60_000)';
    const main = ['packages/client/src/cli/main.ts', 'warmup', '--json', '--full-text'];
    const child = spawn(
      process.execPath,
      ['--conditions=source', '--import', 'tsx', '--import', stray, ...main, ...quick()],
      {
        cwd: REPO,
        env: { PATH: process.env['PATH'], VOXTRAL_SERVER: await start() },
        stdio: ['ignore', 'pipe', 'ignore'],
        timeout: CHILD_MS,
      },
    );
    const [stdout, [code]] = await Promise.all([text(child.stdout), once(child, 'close')]);
    expect(code).toBe(0);
    expect(JSON.parse(stdout)).toMatchObject({ ok: true, text: ' w0 w1 w2 w3 w4' });
  });

  it('puts one JSON object on stdout for a failure too', async () => {
    const absent = ['--file', join(folder, 'absent.wav')];
    const { code, stdout } = await client(['warmup', '--json', ...absent]);
    expect(code).toBe(1);
    expect(JSON.parse(stdout)).toMatchObject({
      ok: false,
      error: expect.stringContaining('ENOENT'),
    });
  });
});
