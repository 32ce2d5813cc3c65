import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, describe, expect, it } from '@jest/globals';
import { run } from '@voice-fleet/client/cli/run';
import { codedPcm, codedText } from '@voice-fleet/client/coded-pcm.fixture';
import { type Cut, startCuttingProxy } from '@voice-fleet/client/cutting-proxy.fixture';
import { ResumableYapClient } from '@voice-fleet/client/resumable-yap-client';
import {
  type ScriptedGateway,
  startScriptedGateway,
} from '@voice-fleet/client/resumable-yap-server.fixture';
import { ScriptedYapFleet } from '@voice-fleet/client/scripted-yap-fleet.fixture';
import { startFakeYapServer } from '@voice-fleet/client/yap-server.fixture';
import { systemClock } from '@voice-fleet/runtime/clock';
import { writeWav } from '@voice-fleet/speech/wav';
import fc from 'fast-check';

const WAIT_MS = 10_000;
const CHUNK = 1280;
const cleanups: (() => Promise<unknown>)[] = [];

afterEach(async () => {
  for (const cleanup of cleanups.splice(0).reverse()) await cleanup();
});

async function gateway(
  fleet: ScriptedYapFleet,
  onMessage?: (count: number) => void,
): Promise<ScriptedGateway> {
  const started = await startScriptedGateway(fleet, onMessage);
  cleanups.push(() => started.kill());
  return started;
}

/** See `startCuttingProxy`. */
async function cuttingProxy(target: URL, cuts: Cut[]): Promise<URL> {
  const proxy = await startCuttingProxy(target, cuts);
  cleanups.push(() => proxy.stop());
  return proxy.url;
}

describe('a resumable session over real sockets', () => {
  it('loses no sample and no word when connections break at any byte', async () => {
    // A handshake takes some 300 bytes, `session.created` 200, an append 3500.
    const cut = fc.record({
      side: fc.constantFrom('client' as const, 'server' as const),
      bytes: fc.integer({ min: 1, max: 12_000 }),
    });
    await fc.assert(
      fc.asyncProperty(fc.array(cut, { minLength: 1, maxLength: 3 }), async (cuts) => {
        const fleet = new ScriptedYapFleet({ tokenGrace: true });
        const { url } = await gateway(fleet);
        const through = await cuttingProxy(url, [{ side: 'client', bytes: 30_000 }, ...cuts]);
        const client = await ResumableYapClient.connect({ urls: [through] });
        cleanups.push(() => client.close());
        for (const chunks of [30, 1]) {
          const utterance = client.utterance();
          const number = Number(utterance.requestId.split('-').at(-1));
          for (let i = 0; i < chunks; i++) {
            utterance.append(codedPcm(number, i * CHUNK, CHUNK));
            await new Promise((resolve) => setImmediate(resolve));
          }
          utterance.finalize();
          const { text, finalText } = await utterance.result(WAIT_MS);
          expect([text, finalText]).toEqual(Array(2).fill(codedText(chunks * CHUNK)));
        }
        // Behind the answer, or what comes after a resume, the last ack is there too.
        await client.ping();
        expect(fleet.violations).toEqual([]);
        expect(client.continuity).toMatchObject({ acceptedSamples: 31 * CHUNK });
        expect(fleet.records[0]?.billed).toBe(31 * CHUNK);
        expect(client.continuity.resumes).toBeGreaterThan(0);
        // The last cut may hit the end itself.
        expect([1000, 1006]).toContain((await client.end()).code);
      }),
      { numRuns: 25 },
    );
  });

  it('goes on at another gateway when one is killed', async () => {
    const fleet = new ScriptedYapFleet();
    const second = await gateway(fleet);
    const first = await gateway(fleet, (count) => {
      if (count === 10) void first.kill();
    });
    const client = await ResumableYapClient.connect({ urls: [first.url, second.url] });
    cleanups.push(() => client.close());
    const utterance = client.utterance();
    for (let i = 0; i < 20; i++) utterance.append(codedPcm(1, i * CHUNK, CHUNK));
    utterance.finalize();
    expect((await utterance.result(WAIT_MS)).finalText).toBe(codedText(20 * CHUNK));
    expect(fleet.violations).toEqual([]);
    expect([first.dials(), second.dials()]).toEqual([1, 1]);
    expect(client.continuity).toMatchObject({ resumes: 1, pausesMs: [expect.any(Number)] });
  });
});

describe('the command line with --resumable', () => {
  const samples = 10 * CHUNK;

  async function recording(): Promise<string[]> {
    const folder = await mkdtemp(join(tmpdir(), 'voice-fleet-resume-'));
    cleanups.push(() => rm(folder, { recursive: true }));
    const path = join(folder, 'coded.wav');
    await writeFile(path, writeWav(codedPcm(1, 0, samples), 16_000));
    return ['--file', path, '--speed', '20'];
  }

  async function client(...argv: string[]) {
    const told = { stdout: '', stderr: '' };
    const code = await run(argv, {
      stdout: (text) => {
        told.stdout += text;
      },
      stderr: (text) => {
        told.stderr += text;
      },
      isTty: false,
      env: {},
      clock: systemClock,
      signal: new AbortController().signal,
      sessionTimeoutMs: WAIT_MS,
    });
    return { code, ...told };
  }

  /** Two gateways, of which the first dies with the fifth message. */
  async function addresses(fleet: ScriptedYapFleet): Promise<string> {
    const second = await gateway(fleet);
    const first = await gateway(fleet, (count) => {
      if (count === 5) void first.kill();
    });
    return `${first.url.host},${second.url.host}`;
  }

  it('warmup goes on over a dead gateway, and says so', async () => {
    const fleet = new ScriptedYapFleet();
    const args = ['warmup', '--resumable', '--full-text', '--server', await addresses(fleet)];
    const { code, stdout } = await client(...args, ...(await recording()));
    expect(code).toBe(0);
    expect(stdout).toContain(codedText(samples).trim());
    expect(stdout).toMatch(/^Resumes +1$/m);
    expect(stdout).toMatch(/^Pauses +1, the longest \d+ ms$/m);
    expect(fleet.violations).toEqual([]);
  });

  it('says nothing of resumes when there were none', async () => {
    const { url } = await gateway(new ScriptedYapFleet());
    const args = ['warmup', '--resumable', '--server', url.href, ...(await recording())];
    const { code, stdout } = await client(...args);
    expect(code).toBe(0);
    expect(stdout).not.toMatch(/Resumes|Pauses/);
  });

  it('bench and convo tell what they went through', async () => {
    const [, file = '', ...speed] = await recording();
    const files = ['--file1', file, '--file2', file, '--pause-s', '0', ...speed];
    const server = async (): Promise<string[]> => [
      ...['--resumable', '--json', '--server', await addresses(new ScriptedYapFleet())],
    ];
    const convo = await client('convo', ...(await server()), ...files);
    expect(convo.code).toBe(0);
    expect(JSON.parse(convo.stdout)).toMatchObject({ continuity: { resumes: 1 } });
    const bench = await client('bench', '--n', '1', ...(await server()), '--file', file, ...speed);
    expect(bench.code).toBe(0);
    expect(JSON.parse(bench.stdout)).toMatchObject({ resumes: 1, transcribed: 1 });
  });

  it('takes several addresses only for sessions that can use them', async () => {
    const { code, stderr } = await client('warmup', '--server', 'a:1,b:2');
    expect(code).toBe(2);
    expect(stderr).toMatch(/--server takes several addresses only together with --resumable/);
  });

  it('dials each address of remote as it says, wss if it says nothing', async () => {
    const { url } = await gateway(new ScriptedYapFleet());
    const list = `${url.host},${url.href}`;
    const { code, stderr } = await client(
      ...['remote', '--resumable', '--server', list, ...(await recording())],
    );
    expect(code).toBe(0);
    expect(stderr).toContain(`wss://${url.host}/api/asr-streaming, ws://${url.host}/`);
  });

  it('asks to wait in line, and tells the place', async () => {
    const server = await startFakeYapServer({ queue: [3, 1] });
    cleanups.push(() => server.stop());
    const args = ['warmup', '--wait', '7', '--server', server.url.href, ...(await recording())];
    const { code, stderr } = await client(...args);
    expect(code).toBe(0);
    expect(server.waits).toEqual(['7']);
    expect(stderr).toContain('Waiting in line: place 3, about 30 s.\n');
    expect(stderr).toContain('Waiting in line: place 1, about 10 s.\n');
  });
});
