import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, describe, expect, it } from '@jest/globals';
import { readWav } from '@voice-fleet/speech/wav';
import { frames, range, speak, transcript } from '@voice-fleet/testkit/coded-speech';
import { until } from '../support/until.ts';
import { VllmFleet } from '../support/vllm-fleet.ts';

/** Set by `npm test` where the packages are unpacked instead of installed. */
const RECORDINGS = process.env['VF_SAMPLE_DIR'] ?? '/usr/share/pocketsphinx/test/data/librivox';
const RECORDING = join(RECORDINGS, 'sense_and_sensibility_01_austen_64kb-0880.wav');

let vllm: VllmFleet;
afterEach(() => vllm[Symbol.asyncDispose]());

async function ask(path: string): Promise<Record<string, unknown>> {
  const response = await fetch(`http://127.0.0.1:${vllm.fleet.workers[0]?.port}${path}`);
  return (await response.json()) as Record<string, unknown>;
}

async function metric(name: string): Promise<number> {
  const text = await vllm.fleet.workerMetrics();
  return Number(
    text
      .split('\n')
      .find((line) => line.startsWith(`${name} `))
      ?.split(' ')[1],
  );
}

describe('what a worker tells of its engines', () => {
  it('E1, E17: all of them, which could run and which does, with their capabilities', async () => {
    vllm = await VllmFleet.start({}, { VOXTRAL_PROCESS_BIN: '/nowhere/voxtral' });
    const { engines } = (await ask('/capabilities')) as { engines: Record<string, unknown>[] };
    expect(engines.map(({ name, loaded }) => [name, loaded])).toEqual([
      ['vllm', true],
      ['process', false],
      ['pocketsphinx', false],
    ]);
    expect(engines[0]).toMatchObject({ available: true, streaming: true, gpu: true });
    expect(engines[1]).toMatchObject({
      available: false,
      reason: expect.stringContaining('/nowhere/voxtral is no file'),
    });
  });

  it('E12, E18: how much it has worked, how fast, and with how many errors', async () => {
    vllm = await VllmFleet.start({ baseMs: 4 }, { WORKER_TICK_S: '0.1', LEASE_TTL_S: '1' });
    const client = await vllm.fleet.client();
    client.say('u', speak(range(1, 20)));
    await client.next('final');
    expect(await ask('/model-status')).toMatchObject({
      ready: true,
      state: 'ready',
      engine: 'vllm',
      status: 'healthy',
      level: 'normal',
      sessions: 1,
      chunksProcessed: expect.any(Number),
      consecutiveErrors: 0,
    });
    const { chunksProcessed, avgInferMs } = await ask('/model-status');
    expect(chunksProcessed).toBeGreaterThanOrEqual(90);
    expect(avgInferMs).toBeGreaterThan(4);
    await until(async () => (await metric('voice_worker_chunks_processed')) >= 90, 'a beat');
    expect(await metric('voice_worker_engine_status{status="healthy"}')).toBe(1);
    vllm.fake.faults.arm({ kind: 'close', afterDeltas: 5, code: 1011 }, 'always');
    client.say('v', speak(range(1, 20)));
    await client.next('error');
    expect(await ask('/model-status')).toMatchObject({
      status: 'error',
      consecutiveErrors: 6,
      lastError: expect.stringContaining('1011'),
    });
    vllm.fake.faults.clear();
    await until(async () => (await ask('/readyz'))['ready'] === true, 'it is loaded again');
    client.say('w', speak([1]));
    await client.next('final');
    expect(await ask('/model-status')).toMatchObject({ status: 'healthy', consecutiveErrors: 0 });
  });

  it('E14, E21: names session, utterance and attempt wherever a stream fails or recovers, and no speech', async () => {
    const lines: Record<string, unknown>[] = [];
    vllm = await VllmFleet.start({}, {}, (line) => void lines.push(line));
    vllm.fake.faults.arm({ kind: 'close', afterDeltas: 20, code: 1006 }, 2);
    const client = await vllm.fleet.client();
    client.say('u', speak(range(1, 20)));
    await client.next('final');
    const about = lines.filter(({ event }) => /^stream_/.test(String(event)));
    expect(about.map(({ event, attempt }) => [event, attempt])).toEqual([
      ['stream_fault', 1],
      ['stream_fault', 2],
      ['stream_recovered', undefined],
    ]);
    for (const line of about)
      expect(line).toMatchObject({ sid: expect.any(String), utterance: expect.any(Number) });
    expect(JSON.stringify(lines)).not.toMatch(/w1\d/);
  });

  it('E19: when vLLM is lost, an engine on the CPU serves the audio, and vLLM again when it is back', async () => {
    vllm = await VllmFleet.start(
      {},
      { ASR_ENGINE: 'vllm,pocketsphinx', VLLM_CANARY_S: '0.2', WORKER_SLOTS: '2' },
    );
    await until(async () => (await ask('/model-status'))['engine'] === 'vllm', 'vLLM is ready');
    const client = await vllm.fleet.client();
    client.say('u', speak(range(1, 5)));
    expect((await client.next('final')).payload.normalized_text).toBe(transcript(range(1, 5)));
    vllm.fake.faults.hang();
    await until(
      async () => (await ask('/model-status'))['engine'] === 'pocketsphinx',
      'the next engine takes over',
    );
    expect(await ask('/readyz')).toMatchObject({ ready: true, engine: 'pocketsphinx' });
    const { pcm } = readWav(readFileSync(RECORDING));
    client.start('v');
    for (const frame of frames(pcm)) client.append('v', frame);
    client.finalize('v');
    expect((await client.next('final')).payload.normalized_text).toMatch(/\w+ \w+/);
    vllm.fake.faults.resume();
    await until(async () => (await ask('/model-status'))['engine'] === 'vllm', 'vLLM is back');
    client.say('w', speak(range(1, 5)));
    expect((await client.next('final')).payload.normalized_text).toBe(transcript(range(1, 5)));
    expect(vllm.logged.filter(({ event }) => event === 'engine_switched')).toHaveLength(2);
  });
});
