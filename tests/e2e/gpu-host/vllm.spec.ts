import { afterEach, beforeEach, expect, it } from '@jest/globals';
import { frames, range, speak, transcript } from '@voice-fleet/testkit/coded-speech';
import { YapSocket } from '../../support/yap-socket.ts';
import { endCommands, until } from '../command.ts';
import { FAKE_VLLM_COMMAND } from './fake-vllm.ts';
import { API_KEY, Host } from './host.ts';

const SAID = range(2_001, 2_030);

let host: Host;
let client: YapSocket | undefined;
beforeEach(async () => {
  host = await Host.make('real');
});
afterEach(async () => {
  client?.terminate();
  await endCommands();
  const left = host.processes();
  host.destroy();
  expect(left).toEqual([]);
});

/** What a server of this host answers. */
async function ask(port: string, path: string): Promise<{ status: number; body: unknown }> {
  const response = await fetch(`http://127.0.0.1:${host.env[`${port}_PORT`]}${path}`);
  return { status: response.status, body: await response.json() };
}

/** Where in the log the nth line of this server about this event stands; -1 when it is not there. */
function logged(server: string, event: string, nth = 1): number {
  const lines = host.exists('.run/server.log') ? host.log().split('\n') : [];
  const found = lines.flatMap((line, at) =>
    line.startsWith(`${server} `) && line.includes(`"event":"${event}"`) ? [at] : [],
  );
  return found[nth - 1] ?? -1;
}

function killVllm(): void {
  const pid = [...host.log().matchAll(/^vllm .*"event":"ready".*"pid":(\d+)/gm)].at(-1)?.[1];
  process.kill(Number(pid), 'SIGKILL');
}

async function connect(): Promise<YapSocket> {
  const url = `ws://127.0.0.1:${host.env['SERVER_PORT']}/api/asr-streaming`;
  const socket = new YapSocket(url, { 'x-api-key': API_KEY });
  client = socket;
  await socket.next('session.created');
  return socket;
}

/** Has the first half of `SAID` heard, then kills vLLM and says the rest. */
async function sayAmidDeath(socket: YapSocket, requestId: string): Promise<void> {
  socket.start(requestId);
  for (const frame of frames(speak(SAID.slice(0, 15)))) socket.append(requestId, frame);
  await until(() => socket.text(requestId).includes('w2010'), 'words come');
  killVllm();
  for (const frame of frames(speak(SAID.slice(15)))) socket.append(requestId, frame);
  socket.finalize(requestId);
}

it('a host with vLLM: ready after it, loses no word when it dies and is back in time, else says so once', async () => {
  const gate = `${host.root}/loaded`;
  const env = {
    ASR_ENGINE: 'vllm',
    VLLM_COMMAND: FAKE_VLLM_COMMAND,
    FAKE_VLLM_LOADS_UNTIL: gate,
    // The supervisor waits a second before it starts vLLM again, which then takes two.
    STT_MAX_RECOVERIES: '30',
    VLLM_CANARY_S: '0.5',
    // All is said at once, not as fast as one speaks.
    STT_MAX_BACKLOG_SECONDS: '0',
  };
  const starting = host.start(['start'], env);
  await until(
    () => starting.stderr.includes('[5/7]') && logged('asr-worker', 'engine_not_ready') >= 0,
    'the worker looks for vLLM',
  );
  expect(await ask('WORKER_INTERNAL', '/livez')).toMatchObject({ status: 200 });
  expect(await ask('WORKER_INTERNAL', '/readyz')).toMatchObject({
    status: 503,
    body: { ready: false, state: 'loading', reason: expect.stringMatching(/./) },
  });
  const early = await host.status();
  expect(early).toMatchObject({ status: 'running', phase: 'starting', ready: false });
  expect(early.children.filter(({ ready }) => ready).map(({ name }) => name)).toEqual(['redis']);
  host.write('loaded', '');
  expect(await starting.closed).toBe(0);
  expect(logged('asr-worker', 'ready')).toBeGreaterThan(logged('vllm', 'ready'));

  expect(
    await host.run(['warmup', '--n', '2', '--concurrency', '2', '--speed', '8']),
  ).toMatchObject({ code: 0, stdout: expect.stringContaining('2 transcribed') });

  const first = await connect();
  await sayAmidDeath(first, 'a');
  await until(() => first.of('a').some(({ type }) => type === 'done'), 'it is heard');
  const { payload } = await first.next('final');
  expect(payload.normalized_text.trim()).toBe(transcript(SAID));
  expect(first.of('a').filter(({ type }) => type === 'error')).toEqual([]);
  first.terminate();
  await until(() => logged('asr-worker', 'engine_ready', 2) >= 0, 'vLLM is back');
  const report = await host.status();
  expect(report.children.find(({ name }) => name === 'vllm')).toMatchObject({ restarts: 1 });

  const hasty = { ...env, STT_MAX_RECOVERIES: '1' };
  expect(await host.run(['restart'], hasty)).toMatchObject({ code: 0 });
  expect(await host.status()).toMatchObject({ status: 'running', ready: true, leased: 0 });
  const second = await connect();
  await sayAmidDeath(second, 'b');
  const fault = await second.next('error');
  expect([fault.payload.code, fault.payload.details.reason_code]).toEqual([
    'processing_error',
    'engine_failed',
  ]);
  await until(() => logged('asr-worker', 'engine_ready', 4) >= 0, 'vLLM is back');
  second.say('c', speak(SAID));
  expect((await second.next('final')).payload.normalized_text.trim()).toBe(transcript(SAID));
  expect(second.of('b').filter(({ type }) => type === 'error')).toHaveLength(1);
  expect(second.of('b').filter(({ type }) => type === 'final')).toEqual([]);

  // While vLLM is away, nothing has to be killed to stop.
  killVllm();
  await until(() => logged('asr-worker', 'engine_down', 3) >= 0, 'it is missed');
  expect(await host.run(['stop'], hasty)).toMatchObject({ code: 0, stderr: 'Stopped.\n' });
  expect(host.log()).not.toContain(API_KEY);
}, 180_000);
