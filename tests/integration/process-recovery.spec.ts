import { mkdtemp, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { PROCESS_DEFAULTS, ProcessEngine } from '@voice-fleet/asr-worker/engines/process/engine';
import { systemClock as clock } from '@voice-fleet/runtime/clock';
import { frames, range, speak, transcript } from '@voice-fleet/testkit/coded-speech';
import {
  FAKE_VOXTRAL,
  FakeModelDir,
  type FakeVoxtralOptions,
  fakeVoxtralEnv,
} from '@voice-fleet/testkit/fake-voxtral/fake-voxtral';
import { Fleet } from '../support/fleet.ts';
import { until } from '../support/until.ts';
import type { YapSocket } from '../support/yap-socket.ts';

/** Audio comes so many times faster than people talk: a process tells no times, so words are timed by when they come. */
const SPEED = 4;

let folder: string;
let model: FakeModelDir;
let fleet: Fleet | undefined;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'vf-recovery-'));
  model = await FakeModelDir.create();
});
afterEach(async () => {
  await fleet?.[Symbol.asyncDispose]();
  fleet = undefined;
  await model[Symbol.asyncDispose]();
  await rm(folder, { recursive: true });
});

async function start(
  options: FakeVoxtralOptions,
  env = {},
  binary = FAKE_VOXTRAL,
): Promise<YapSocket> {
  const settings = { binary, modelDir: model.path, model: 'voxtral', slots: 2 };
  const engine = new ProcessEngine(
    { ...PROCESS_DEFAULTS, ...settings, intervalS: 0.5, env: fakeVoxtralEnv(options) },
    { clock },
  );
  fleet = await Fleet.start([engine], env);
  return fleet.client();
}

async function talk(client: YapSocket, words: readonly number[]): Promise<void> {
  client.start('u');
  for (const frame of frames(speak(words))) {
    client.append('u', frame);
    await delay(80 / SPEED);
  }
  client.finalize('u');
}

async function metric(name: string): Promise<number> {
  const text = (await fleet?.workerMetrics()) ?? '';
  return Number(
    text
      .split('\n')
      .find((line) => line.startsWith(`${name} `))
      ?.split(' ')[1],
  );
}

describe('a session on a speech process', () => {
  it('E6, E9, E13: has every word once when the process is killed amid it, and the recovery is counted and timed', async () => {
    const words = range(1, 30);
    const client = await start({
      mode: 'crash',
      afterWords: 12,
      stateFile: join(folder, 'crashed'),
    });
    await talk(client, words);
    expect((await client.next('final')).payload.normalized_text).toBe(transcript(words));
    expect(client.text('u').trim()).toBe(transcript(words));
    expect(await metric('voice_worker_stream_faults_total{cause="closed"}')).toBe(1);
    expect(await metric('voice_worker_recoveries_total{outcome="recovered"}')).toBe(1);
    expect(await metric('voice_worker_recovery_seconds_count')).toBe(1);
  });

  it('E8: ends in one clear error when each process dies, after a bounded number of them', async () => {
    const client = await start({ mode: 'crash', afterBytes: 40_000 }, { STT_MAX_RECOVERIES: '2' });
    client.say('u', speak(range(1, 10)));
    const { payload } = await client.next('error');
    expect([payload.code, payload.details.reason_code]).toEqual([
      'processing_error',
      'engine_failed',
    ]);
    expect(await metric('voice_worker_stream_faults_total{cause="closed"}')).toBe(3);
    expect(await metric('voice_worker_recoveries_total{outcome="gave_up"}')).toBe(1);
  });

  it('E16: reports a process that cannot be started, and the next attempt succeeds', async () => {
    const binary = join(folder, 'voxtral');
    await symlink(FAKE_VOXTRAL, binary);
    const client = await start({}, { STT_MAX_RECOVERIES: '0' }, binary);
    await rm(binary);
    await writeFile(binary, '#!/nowhere/interpreter\n', { mode: 0o755 });
    client.say('u', speak(range(1, 5)));
    expect((await client.next('error')).payload.details.reason_code).toBe('engine_failed');
    expect(await metric('voice_worker_stream_faults_total{cause="unreachable"}')).toBe(1);
    await rm(binary);
    await symlink(FAKE_VOXTRAL, binary);
    client.say('u', speak(range(1, 5)));
    expect((await client.next('final')).payload.normalized_text).toBe(transcript(range(1, 5)));
  });

  it('E12: tells how much the processes have worked, over HTTP and to Prometheus', async () => {
    const client = await start({ mode: 'slow', msPerSecond: 20 }, { LEASE_TTL_S: '1' });
    client.say('u', speak(range(1, 10)));
    await client.next('final');
    const port = fleet?.workers[0]?.port;
    const status = await (await fetch(`http://127.0.0.1:${port}/model-status`)).json();
    expect(status).toMatchObject({
      engine: 'process',
      status: 'healthy',
      chunksProcessed: expect.any(Number),
      realtimeFactor: expect.any(Number),
      consecutiveErrors: 0,
    });
    const { chunksProcessed, avgInferMs, realtimeFactor } = status as Record<string, number>;
    expect(chunksProcessed).toBeGreaterThanOrEqual(40);
    // 80 ms of work on 4 s of audio, and what the process itself takes.
    expect(realtimeFactor).toBeGreaterThan(0.01);
    expect(avgInferMs).toBeGreaterThan(1);
    await until(
      async () => (await metric('voice_worker_chunks_processed')) === chunksProcessed,
      'the next beat tells it',
    );
    expect(await metric('voice_worker_realtime_factor')).toBeCloseTo(realtimeFactor ?? 0);
  });

  it('is not cut into segments: the program goes on by itself', async () => {
    const client = await start(
      {},
      { STT_SEGMENT_SECONDS: '2', STT_SEGMENT_PAUSE_SECONDS: '1', STT_MAX_BACKLOG_SECONDS: '0' },
    );
    client.say('u', speak(range(1, 40)));
    expect((await client.next('final')).payload.normalized_text).toBe(transcript(range(1, 40)));
    expect(await metric('voice_worker_segment_rolls_total')).toBe(0);
  });
});
