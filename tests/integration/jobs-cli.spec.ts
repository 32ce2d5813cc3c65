import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { run } from '@voice-fleet/client/cli/run';
import { systemClock } from '@voice-fleet/runtime/clock';
import { writeWav } from '@voice-fleet/speech/wav';
import { range, speak, transcript } from '@voice-fleet/testkit/coded-speech';
import { Fleet, KEY } from '../support/fleet.ts';
import { ScriptedEngine } from '../support/scripted-engine.ts';

const WORDS = range(1, 12);
const WAV = writeWav(speak(WORDS), 16_000);

let folder: string;
let fleet: Fleet;
let files: Server;
let recording: string;
/** Of the same recording. */
let url: string;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'vf-jobs-cli-'));
  recording = join(folder, 'call.wav');
  await writeFile(recording, WAV);
  files = createServer((_request, response) => void response.end(WAV));
  await new Promise<void>((resolve) => files.listen(0, '127.0.0.1', resolve));
  const { port } = files.address() as AddressInfo;
  url = `http://127.0.0.1:${port}/call.wav`;
  fleet = await Fleet.start([new ScriptedEngine({ slots: 2 })], {
    ...{ JOBS_DIR: folder, BATCH_JOBS_MAX: '2' },
    JOBS_URL_ALLOW: `!127.0.0.1:${port}`,
  });
});
afterAll(async () => {
  files.close();
  files.closeAllConnections();
  await fleet[Symbol.asyncDispose]();
  await rm(folder, { recursive: true, force: true });
});

async function client(
  ...argv: string[]
): Promise<{ code: number; stdout: string; stderr: string }> {
  let stdout = '';
  let stderr = '';
  const server = `http://127.0.0.1:${fleet.gateways[0]?.port}`;
  const code = await run(['jobs', ...argv], {
    stdout: (text) => {
      stdout += text;
    },
    stderr: (text) => {
      stderr += text;
    },
    isTty: false,
    env: { VOXTRAL_API_KEY: KEY, VOXTRAL_SERVER: server },
    clock: systemClock,
    signal: new AbortController().signal,
  });
  return { code, stdout, stderr };
}

describe('npm run client -- jobs', () => {
  it('hands over recordings, waits for them, and prints their transcripts', async () => {
    const one = await client('submit', recording, '--wait', '--meta', 'call=4711');
    expect(one).toMatchObject({ code: 0, stdout: `${transcript(WORDS)}\n` });
    expect(one.stderr).toMatch(/ completed 100 %\n$/);
    const two = await client('submit', recording, url, '--wait', '--json');
    expect(JSON.parse(two.stdout)).toMatchObject({
      ok: true,
      jobs: [{ result: transcript(WORDS) }, { result: transcript(WORDS) }],
    });
    const noise = join(folder, 'noise.wav');
    await writeFile(noise, 'this is no recording');
    const bad = await client('submit', noise, '--wait');
    expect(bad.code).toBe(1);
    expect(bad.stdout).toMatch(/^failed: /);
  });

  it('tells the ids of what it handed over before something went wrong', async () => {
    const { code, stdout, stderr } = await client('submit', recording, '/nowhere', '--json');
    expect([code, JSON.parse(stdout)]).toEqual([1, { ok: false, error: expect.any(String) }]);
    const [, id = ''] = /: (job_[0-9a-z]+)$/m.exec(stderr) ?? [];
    expect(await client('delete', id)).toMatchObject({ code: 0 });
  });

  it('lists, shows, cancels and forgets jobs', async () => {
    const { stdout } = await client('submit', recording, '--priority', 'low');
    const id = stdout.trim();
    expect((await client('watch', id)).stdout).toMatch(/^State +completed, 100 %$/m);
    expect((await client('list', '--state', 'completed')).stdout).toContain(id);
    const { stderr: more } = await client('list', '--limit', '1');
    expect(more).toBe(`There are more: --cursor ${id}\n`);
    expect((await client('list', '--limit', '1', '--cursor', id)).stdout).not.toContain(id);
    expect((await client('show', id)).stdout).toMatch(/^Priority +low$/m);
    expect((await client('result', id, '--format', 'vtt')).stdout).toMatch(/^WEBVTT\n/);
    expect(JSON.parse((await client('cancel', id, '--json')).stdout)).toMatchObject({
      job: { id, state: 'completed' },
    });
    expect(await client('delete', id)).toMatchObject({ code: 0, stderr: `${id} is gone.\n` });
    expect((await client('show', id)).stderr).toContain('job_not_found');
  });

  it.each<[readonly string[], number, RegExp]>([
    [[], 2, /Which action\?/],
    [['leave'], 2, /There is no "leave"/],
    [['submit'], 2, /takes a file or a URL/],
    [['submit', 'a', '--wait', '--format', 'pdf'], 2, /--format takes json, text/],
    [['show'], 2, /Name one job/],
    [['submit', 'a', '--meta', 'x'], 2, /NAME=VALUE/],
    [['list', '--limit', '0'], 1, /limit/],
    [['list', '--voxtral-key', 'wrong'], 1, /did not accept the API key/],
    [['list', '--server', '127.0.0.1:2'], 1, /Nothing listens at/],
    [['submit', '/nowhere/call.wav'], 1, /\/nowhere\/call\.wav/],
    [['submit', '/'], 1, /^\/ is no file\.$/m],
  ])('says what is wrong with %j', async (argv, code, said) => {
    const answer = await client(...argv);
    expect(answer.code).toBe(code);
    expect(answer.stderr).toMatch(said);
  });
});
