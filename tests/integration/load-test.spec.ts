import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { text } from 'node:stream/consumers';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import type { CliIo } from '@voice-fleet/client/cli/flags';
import { parseScenario } from '@voice-fleet/client/load/scenario';
import { countArrivals } from '@voice-fleet/client/load/schedule';
import { writeWav } from '@voice-fleet/speech/wav';
import { range, speak, transcript } from '@voice-fleet/testkit/coded-speech';
import { parse } from 'yaml';
import { type ClientRun, quickClock, runClient } from '../support/client-run.ts';
import { Fleet, KEY } from '../support/fleet.ts';
import { ScriptedEngine } from '../support/scripted-engine.ts';
import { until } from '../support/until.ts';
import type { YapSocket } from '../support/yap-socket.ts';

const REPO = fileURLToPath(new URL('../..', import.meta.url));
const WORDS = range(1, 5);
const SLOTS = 4;
/** What waits for seconds by design is over in tenths of them. */
const QUICK = { clock: quickClock(10) };

let folder: string;
let fleet: Fleet;
let recording: string;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'vf-load-test-'));
  recording = join(folder, 'words.wav');
  await writeFile(recording, writeWav(speak(WORDS), 16_000));
  await writeFile(join(folder, 'words.txt'), transcript(WORDS));
  fleet = await Fleet.start([new ScriptedEngine({ slots: SLOTS })]);
});
afterAll(async () => {
  await fleet[Symbol.asyncDispose]();
  await rm(folder, { recursive: true, force: true });
});

const env = (): Record<string, string> => ({
  VOXTRAL_API_KEY: KEY,
  VOXTRAL_SERVER: `http://127.0.0.1:${fleet.gateways[0]?.port}`,
});

const client = (argv: readonly string[], io: Partial<CliIo> = {}): Promise<ClientRun> =>
  runClient(argv, { env: env(), ...io });

/** Every slot taken by somebody who says nothing. */
async function filled(during: () => Promise<void>): Promise<void> {
  const admitted = async (): Promise<YapSocket> => {
    // The slots of whoever was here before may take a moment to come free.
    const socket = fleet.dial({ query: `?api_key=${KEY}&wait=60` });
    await socket.next('session.created');
    return socket;
  };
  const clients = await Promise.all(range(1, SLOTS).map(admitted));
  try {
    await during();
  } finally {
    for (const { socket } of clients) socket.close();
    await Promise.all(clients.map(({ closed }) => closed));
  }
}

describe('npm run client -- smoke', () => {
  const smoke = (...argv: string[]): string[] => ['smoke', '--file', recording, ...argv];

  it('passes with the words that came back, over a WebSocket and over HTTP', async () => {
    const { code, stdout } = await client(smoke('--json', '--health', '--http'), QUICK);
    expect(JSON.parse(stdout)).toMatchObject({
      schema: 'voice-fleet/smoke/1',
      ok: true,
      outcome: 'passed',
      checks: [
        { check: 'health', outcome: 'ok', tries: 1 },
        { check: 'stream', outcome: 'ok', detail: expect.stringContaining(transcript(WORDS)) },
        { check: 'http', outcome: 'ok', detail: `"${transcript(WORDS)}"` },
      ],
    });
    expect(code).toBe(0);
  });

  it('says REFUSED with exit code 0 when all slots stay taken, and fails then with --strict', async () => {
    await filled(async () => {
      const [lenient, strict] = await Promise.all([
        client(smoke(), QUICK),
        client(smoke('--strict', '--json'), QUICK),
      ]);
      expect(lenient.stdout).toMatch(/^stream +refused .*\n\nREFUSED$/m);
      expect(lenient.code).toBe(0);
      expect(JSON.parse(strict.stdout)).toMatchObject({ ok: false, outcome: 'refused' });
      expect(strict.code).toBe(1);
    });
  });

  it('fails for a wrong key, for silence, and when nobody answers in time', async () => {
    const silent = join(folder, 'silent.wav');
    await writeFile(silent, writeWav(Buffer.alloc(6_400), 16_000));
    const [stranger, mute, alone] = await Promise.all([
      client(smoke('--voxtral-key', 'wrong'), QUICK),
      client(['smoke', '--file', silent], QUICK),
      client(smoke('--server', '127.0.0.1:1', '--timeout', '5'), QUICK),
    ]);
    expect([stranger.code, mute.code, alone.code]).toEqual([1, 1, 1]);
    expect(stranger.stderr).toMatch(/did not accept the API key/);
    expect(mute.stdout).toMatch(/no word of the recording was understood[\s\S]*FAILED/);
    expect(alone.stderr).toMatch(/Nothing listens/);
  });
});

describe('npm run client -- loadtest', () => {
  const loadtest = (...argv: string[]): string[] => [
    ...['loadtest', '--json', '--wait', '60', '--speed', '5', '--utterance', recording, ...argv],
  ];
  const held = ['--sessions', '3', '--ramp', '0.3'];

  it('holds sessions that speak again and again, and finds all words in each of them', async () => {
    // Keys of their own go before the one of all clients.
    const keys = { ...env(), VOXTRAL_API_KEY: 'wrong', VOXTRAL_API_KEYS: `${KEY}, ${KEY}` };
    const args = loadtest(...held, '--hold', '1', '--resumable');
    const { code, stdout } = await client(args, { env: keys });
    const result = JSON.parse(stdout);
    expect(result).toMatchObject({
      schema: 'voice-fleet/loadtest/1',
      ok: true,
      scenario: 'load',
      stoppedBy: null,
      sessions: { begun: 3, completed: 3, refused: 0, failed: 0, stopped: 0, skipped: 0 },
      peakSessions: 3,
      droppedS: 0,
      refusals: {},
      errors: {},
      latency: { admissionMs: { count: 3 }, finalMs: { p95: expect.any(Number) } },
      words: [
        { recording: 'words.wav', distinct: 1, deviating: 0, lostWords: 0, wordErrorRate: 0 },
      ],
      phases: [
        { name: 'ramp', asked: 3, sessions: { begun: 3 } },
        { name: 'hold', asked: 0, sessions: { begun: 0 } },
      ],
      thresholds: [
        { name: 'skipped sessions', pass: true },
        { name: 'refused ratio', measured: 0, pass: true },
        { name: 'error ratio', measured: 0, pass: true },
      ],
    });
    expect(result.utterances).toBeGreaterThan(3);
    expect(result.words[0].transcripts).toBe(result.utterances);
    expect(code).toBe(0);
  });

  it('runs the phases of a file, with keys taken in turn, and fails for what its thresholds forbid', async () => {
    const scenario = join(folder, 'two-phases.json');
    const phases = [
      { name: 'slow', seconds: 0.5, sessionsPerSecond: 2 },
      { name: 'quick', seconds: 0.5, sessionsPerSecond: 6 },
    ];
    await writeFile(scenario, JSON.stringify({ name: 'two-phases', phases }));
    const keys = join(folder, 'keys');
    await writeFile(keys, `${KEY}\nwrong-key\n`);
    const args = loadtest('--scenario', scenario, '--keys-file', keys, '--p95-final-ms', '0.001');
    const { code, stdout } = await client(args);
    expect(JSON.parse(stdout)).toMatchObject({
      ok: false,
      scenario: 'two-phases',
      sessions: { begun: 4, completed: 2, failed: 2 },
      errors: { authentication_failed: 2 },
      phases: [
        { name: 'slow', asked: 1, sessions: { completed: 1, failed: 0 } },
        { name: 'quick', asked: 3, sessions: { completed: 1, failed: 2 } },
      ],
      thresholds: [
        { pass: true },
        { pass: true },
        { name: 'error ratio', measured: 0.5, max: 0, pass: false },
        { name: 'final p95 ms', max: 0.001, pass: false },
      ],
    });
    expect(code).toBe(1);
  });

  it('counts refusals of a full fleet, and passes with as many as it may have', async () => {
    await filled(async () => {
      const load = ['--rate', '10', '--duration', '0.5', '--wait', '0', '--max-refused-ratio', '1'];
      const { code, stdout } = await client(loadtest(...load));
      expect(JSON.parse(stdout)).toMatchObject({
        ok: true,
        sessions: { begun: 5, completed: 0, refused: 5, failed: 0 },
        refusals: { server_at_capacity: 5 },
        latency: { admissionMs: null, finalMs: null },
      });
      expect(code).toBe(0);
      const strict = await client(loadtest(...load, '--p95-final-ms', '1000'));
      expect(JSON.parse(strict.stdout).thresholds.at(-1)).toMatchObject({ measured: null });
      expect(strict.code).toBe(1);
    });
  });

  it('tells its metrics while it runs and until the last scrape, and then a table', async () => {
    let port: string | undefined;
    const stop = new AbortController();
    const args = loadtest(...held, '--hold', '1', '--name', 'held', '--metrics-port', '0');
    const running = client(
      [...args.filter((arg) => arg !== '--json'), '--metrics-host', '127.0.0.1', '--linger', '60'],
      {
        stop: stop.signal,
        stderr: (line) => {
          port ??= /Metrics on port (\d+)/.exec(line)?.[1];
        },
      },
    );
    const page = async (): Promise<string> =>
      port === undefined ? '' : await (await fetch(`http://127.0.0.1:${port}/metrics`)).text();
    const completed = 'voice_loadtest_sessions_total{outcome="completed",scenario="held"} 3';
    await until(async () => (await page()).includes(`${completed}\n`), 'three are completed');
    const end = await page();
    expect(end).toMatch(/^voice_loadtest_sessions_active\{scenario="held"\} 0$/m);
    expect(end).toMatch(/^voice_loadtest_final_latency_seconds_count\{scenario="held"\} [1-9]/m);
    expect(end).toMatch(/^voice_loadtest_audio_seconds_total\{scenario="held"\} [1-9]/m);
    expect(end).toMatch(/^voice_build_info\{service="loadtest",/m);
    stop.abort(new Error('the Job is deleted'));
    const { code, stdout } = await running;
    expect(stdout).toMatch(/^Completed +3$/m);
    expect(stdout).toMatch(/^Final +\d+ ms/m);
    expect(stdout).toMatch(/words\.wav: \d+ transcripts, 1 distinct, 0 deviate, 0 words lost/);
    expect(stdout).toMatch(/\nPASSED\n$/);
    expect(code).toBe(0);
  });

  it('ends on SIGTERM with its utterances spoken and the result so far', async () => {
    const load = [...held, '--hold', '600', '--stop-grace', '60', '--metrics-port', '0'];
    const main = ['packages/client/src/cli/main.ts', ...loadtest(...load)];
    const child = spawn(process.execPath, ['--conditions=source', '--import', 'tsx', ...main], {
      cwd: REPO,
      env: { PATH: process.env['PATH'], ...env() },
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    try {
      const out = text(child.stdout);
      const [first] = (await once(createInterface(child.stderr), 'line')) as [string];
      const port = /Metrics on port (\d+)/.exec(first)?.[1];
      const open = 'voice_loadtest_sessions_active{scenario="load"} 3\n';
      await until(
        async () => (await (await fetch(`http://127.0.0.1:${port}/metrics`)).text()).includes(open),
        'three sessions are open',
      );
      child.kill('SIGTERM');
      const [stdout, [code]] = await Promise.all([out, once(child, 'close')]);
      expect(JSON.parse(stdout)).toMatchObject({
        ok: false,
        stoppedBy: 'SIGTERM',
        sessions: { begun: 3, completed: 3, stopped: 0 },
        words: [{ deviating: 0, wordErrorRate: 0 }],
      });
      expect(code).toBe(143);
    } finally {
      child.kill('SIGKILL');
    }
  });

  it.each<[string[], RegExp]>([
    [[], /one of --rate, --sessions and --scenario/],
    [['--rate', '1', '--sessions', '2'], /one of --rate/],
    [['--rate', '1'], /Say how long/],
    [['--rate', '1', '--duration', '5', '--hold', '4'], /Say how long/],
    [['--rate', '1', '--duration', '5', '--ramp', '6'], /ramp of 6 s is longer/],
    [['--scenario', 'x.json', '--duration', '6'], /--duration means nothing/],
    [['--rate', '1', '--duration', '90000'], /86400 s in all/],
    [['--rate', '1', '--duration', '5', '--max-error-ratio', '2'], /from 0 to 1/],
    [['--rate', '1', '--duration', '5', '--metrics-port', 'x'], /takes a port/],
    [['--scenario', '/absent.json'], /Cannot read the scenario \/absent\.json \(ENOENT\)/],
    [['--rate', '1', '--duration', '5', '--keys-file', '/absent'], /Cannot read the keys/],
  ])('refuses %j with exit code 2', async (argv, message) => {
    const { code, stderr } = await client(['loadtest', ...argv]);
    expect(stderr).toMatch(message);
    expect(code).toBe(2);
  });
});

describe('flags elsewhere', () => {
  const read = (path: string): string => readFileSync(join(REPO, path), 'utf8');
  const over = AbortSignal.abort(new Error('Ctrl+C'));

  it('of the chart are understood', async () => {
    const { loadTest } = parse(read('charts/voice-fleet/values.yaml')) as {
      loadTest: { args: string[] };
    };
    const job = ['loadtest', '--json', '--metrics-port', '0', ...loadTest.args];
    const { code, stdout } = await client(job, { signal: over });
    expect(JSON.parse(stdout)).toMatchObject({ stoppedBy: 'interrupt', sessions: { begun: 0 } });
    expect(code).toBe(130);
  });

  it('of the page are those of the command, and its scenario is one', async () => {
    const page = read('docs/operations/load-test.md');
    const { stdout: help } = await client(['loadtest', '--help']);
    const commands = ['--set', '--set-json', '--tail', '--reuse-values'];
    const flags = new Set(page.match(/--[a-z][a-z0-9-]+/g));
    expect(flags.size).toBeGreaterThan(15);
    for (const flag of flags) if (!commands.includes(flag)) expect(help).toContain(`${flag} `);
    const [, example = ''] = /```json\n(.*?)```/s.exec(page) ?? [];
    expect(countArrivals(parseScenario(example, 'the page').phases)).toBe(60 + 165 + 900);
  });
});
