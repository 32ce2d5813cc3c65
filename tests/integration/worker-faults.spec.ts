import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { connect } from 'node:net';
import { afterEach, describe, expect, it } from '@jest/globals';
import { readWav } from '@voice-fleet/speech/wav';
import {
  frames,
  range,
  SLOT_SAMPLES,
  silence,
  speak,
  transcript,
} from '@voice-fleet/testkit/coded-speech';
import { Fleet } from '../support/fleet.ts';
import { ScriptedEngine } from '../support/scripted-engine.ts';
import { ServiceProcess } from '../support/service-process.ts';
import { until } from '../support/until.ts';
import type { YapSocket } from '../support/yap-socket.ts';

const RECORDING =
  '/usr/share/pocketsphinx/test/data/librivox/sense_and_sensibility_01_austen_64kb-0880.wav';

let fleet: Fleet;
afterEach(() => fleet[Symbol.asyncDispose]());

const leased = async (): Promise<unknown> => (await fleet.get('/readyz')).body['leased'];

async function expectWhole(client: YapSocket, requestId: string, words: number[]): Promise<void> {
  client.say(requestId, speak(words));
  expect((await client.next('final')).payload.normalized_text).toBe(transcript(words));
}

/** Starts utterances until one is not refused for want of a worker; returns its id. */
async function startOnceLinked(client: YapSocket): Promise<string> {
  let nth = 0;
  let id = '';
  await until(async () => {
    nth += 1;
    id = `after-${nth}`;
    client.start(id);
    await client.settled();
    return client.of(id).every((frame) => frame.type !== 'error');
  }, 'the session is linked again');
  return id;
}

/** The one error about this utterance. */
function errorOf(client: YapSocket, requestId: string): { code: string; reason: string } {
  const errors = client.of(requestId).flatMap((frame) => (frame.type === 'error' ? [frame] : []));
  expect(errors).toHaveLength(1);
  const payload = errors[0]?.payload;
  return { code: payload?.code ?? '', reason: payload?.details.reason_code ?? '' };
}

describe('an engine that fails', () => {
  it('ends only the utterance it failed on, with processing_error; the next one on the socket works', async () => {
    const engine = new ScriptedEngine();
    fleet = await Fleet.start([engine], { STT_MAX_RECOVERIES: '0' });
    const client = await fleet.client();
    const other = await fleet.client();
    other.start('o');
    other.append('o', speak([1, 2]));
    await until(() => engine.takenSamples > 0, 'the other is under way');
    engine.failNextWrite = true;
    client.start('bad');
    client.append('bad', speak([9]));
    await client.next('error');
    expect(errorOf(client, 'bad')).toEqual({ code: 'processing_error', reason: 'engine_failed' });
    await expectWhole(client, 'good', range(3, 8));
    expect(client.of('bad').map((frame) => frame.type)).toEqual(['error']);
    other.append('o', speak([3, 4]));
    other.finalize('o');
    expect((await other.next('final')).payload.normalized_text).toBe(transcript(range(1, 4)));
    expect(engine.openStreams).toBe(0);
  });

  it('E6: fails without a trace in the transcript when a new stream can hear the audio again', async () => {
    const engine = new ScriptedEngine();
    fleet = await Fleet.start([engine]);
    const client = await fleet.client();
    client.start('u');
    client.append('u', speak(range(1, 5)));
    await until(() => engine.takenSamples === 5 * SLOT_SAMPLES, 'the engine took it');
    engine.failNextWrite = true;
    client.append('u', speak(range(6, 9)));
    client.finalize('u');
    expect((await client.next('final')).payload.normalized_text).toBe(transcript(range(1, 9)));
    expect(client.text('u')).toBe(transcript(range(1, 9)));
    const metrics = await fleet.workerMetrics();
    expect(metrics).toContain('voice_worker_stream_faults_total{cause="other"} 1');
    expect(metrics).toContain('voice_worker_recoveries_total{outcome="recovered"} 1');
    expect(metrics).toContain('voice_worker_recovery_seconds_count 1');
  });

  it('is given up on when it takes no audio within STT_FINISH_TIMEOUT_S, before or after the finish', async () => {
    const engine = new ScriptedEngine();
    fleet = await Fleet.start([engine], {
      STT_FINISH_TIMEOUT_S: '0.2',
      STT_MAX_RECOVERIES: '1',
    });
    const client = await fleet.client();
    engine.stall();
    client.start('open');
    client.append('open', speak([1]));
    await client.next('error');
    expect(errorOf(client, 'open').reason).toBe('engine_failed');
    client.say('finished', speak([1]));
    await client.next('error');
    expect(errorOf(client, 'finished').reason).toBe('engine_failed');
    engine.resume();
    await expectWhole(client, 'next', [1, 2, 3]);
    expect(engine.openStreams).toBe(0);
  });
});

describe('a worker that goes away', () => {
  const abrupt = { WORKER_DRAIN_S: '0' };
  const impatient = { ...abrupt, FAILOVER_TIMEOUT_S: '0.3' };

  it('is replaced amid an utterance, of which no word is lost, doubled or told late', async () => {
    const lost = new ScriptedEngine();
    fleet = await Fleet.start([lost], abrupt);
    const client = await fleet.client();
    const other = new ScriptedEngine();
    await fleet.addWorker(other);
    client.start('a');
    client.append('a', speak(range(1, 8)));
    await client.next('token');
    await fleet.workers[0]?.close();
    client.append('a', speak(range(9, 12)));
    client.finalize('a');
    expect((await client.next('final')).payload.normalized_text).toBe(transcript(range(1, 12)));
    expect(client.text('a')).toBe(transcript(range(1, 12)));
    expect(errorsOf(client, 'a')).toBe(0);
    expect([lost.openStreams, other.streams.length]).toEqual([0, 1]);
    expect(await leased()).toBe(1);
    client.send('end', 'bye');
    await client.closed;
    await until(async () => (await leased()) === 0, 'every slot is free');
    const metrics = await fleet.metrics();
    expect(metrics).toMatch(/^voice_gateway_session_move_duration_seconds_count 1$/m);
    expect(metrics).toMatch(/^voice_gateway_session_moves_total\{cause="(lost|draining)"\} 1$/m);
  });

  it('is replaced by one that comes up only then', async () => {
    fleet = await Fleet.start([new ScriptedEngine()], abrupt);
    const client = await fleet.client();
    client.start('a');
    client.append('a', speak([1, 2, 3]));
    await client.settled();
    await fleet.workers[0]?.close();
    client.append('a', speak([4, 5]));
    await client.settled();
    await fleet.addWorker(new ScriptedEngine());
    client.finalize('a');
    expect((await client.next('final')).payload.normalized_text).toBe(transcript(range(1, 5)));
    expect(errorsOf(client, 'a')).toBe(0);
  });

  it('ends an utterance that was finished already with worker_lost if none comes, and only once', async () => {
    const engine = new ScriptedEngine();
    fleet = await Fleet.start([engine], impatient);
    const client = await fleet.client();
    engine.stall();
    client.say('a', speak([1, 2, 3]));
    await client.settled();
    await fleet.workers[0]?.close();
    await client.next('error');
    expect(errorOf(client, 'a')).toEqual({ code: 'internal_error', reason: 'worker_lost' });
    await client.settled();
    expect(client.of('a').map((frame) => frame.type)).toEqual(['error']);
  });

  it('and is not replaced: audio is taken in silence after the error, and the finish is answered with it', async () => {
    fleet = await Fleet.start([new ScriptedEngine()], impatient);
    const client = await fleet.client();
    client.start('a');
    client.append('a', speak([1]));
    await client.settled();
    await fleet.workers[0]?.close();
    await client.next('error');
    for (const frame of frames(speak(range(1, 10)))) client.append('a', frame);
    await client.settled();
    expect(client.of('a').filter((frame) => frame.type === 'error')).toHaveLength(1);
    client.finalize('a');
    expect((await client.next('error')).payload.details.reason_code).toBe('worker_lost');
  });

  it('leaves a session that keeps what is said until there is a worker again, and in time says that there is none', async () => {
    fleet = await Fleet.start([new ScriptedEngine()], impatient);
    const client = await fleet.client();
    await fleet.workers[0]?.close();
    await until(
      async () => /workers_lost_total [1-9]/.test(await fleet.metrics()),
      'the loss is noticed',
    );
    client.start('early');
    const error = await client.next('error');
    expect(error.payload.details.reason_code).toBe('worker_unavailable');
    await fleet.addWorker(new ScriptedEngine());
    const id = await startOnceLinked(client);
    client.append(id, speak([1, 2]));
    client.finalize(id);
    expect((await client.next('final')).payload.normalized_text).toBe(transcript([1, 2]));
  });
});

describe('a worker that is told to stop', () => {
  it('hands all its sessions on amid their utterances, and is gone before they end', async () => {
    const leaving = new ScriptedEngine({ slots: 3 });
    fleet = await Fleet.start([leaving], { WORKER_DRAIN_S: '20' });
    const idle = await fleet.client();
    const busy = [await fleet.client(), await fleet.client()] as const;
    for (const client of busy) {
      client.start('a');
      client.append('a', speak([1, 2]));
      await client.next('token');
    }
    const staying = new ScriptedEngine();
    await fleet.addWorker(staying);
    const sinceMs = performance.now();
    await fleet.workers[0]?.close();
    expect(performance.now() - sinceMs).toBeLessThan(10_000);
    expect(leaving.openStreams).toBe(0);
    for (const client of busy) {
      client.append('a', speak([3, 4]));
      client.finalize('a');
      expect((await client.next('final')).payload.normalized_text).toBe(transcript(range(1, 4)));
      expect(errorsOf(client, 'a')).toBe(0);
    }
    await expectWhole(idle, 'b', [7, 8]);
    expect(staying.streams).toHaveLength(3);
    expect(await fleet.metrics()).toContain('session_moves_total{cause="draining"} 3');
  });

  it('lets the utterance under way finish when there is no other, and takes no new session', async () => {
    fleet = await Fleet.start([new ScriptedEngine({ slots: 2 })], { WORKER_DRAIN_S: '20' });
    const busy = await fleet.client();
    busy.start('a');
    busy.append('a', speak([1, 2]));
    await busy.next('token');
    const closed = fleet.workers[0]?.close();
    await until(async () => (await fleet.get('/readyz')).body['workers'] === 0, 'it drains');
    const fresh = fleet.dial();
    expect((await fresh.next('error')).payload.details.reason_code).toBe('fleet_unavailable');
    busy.append('a', speak([3, 4]));
    busy.finalize('a');
    expect((await busy.next('final')).payload.normalized_text).toBe(transcript(range(1, 4)));
    await closed;
  });

  it('is not kept by a connection that never says anything', async () => {
    fleet = await Fleet.start([new ScriptedEngine()], { WORKER_DRAIN_S: '600' });
    const worker = fleet.workers[0];
    const silent = connect(worker?.port ?? 0, '127.0.0.1');
    await once(silent, 'connect');
    // Accepted for sure once a later connection was answered.
    await fetch(`http://127.0.0.1:${worker?.port}/healthz`);
    const ended = once(silent, 'close');
    await worker?.close();
    await ended;
  });

  it('ends an utterance that does not finish within WORKER_DRAIN_S', async () => {
    fleet = await Fleet.start([new ScriptedEngine()], {
      WORKER_DRAIN_S: '0.3',
      FAILOVER_TIMEOUT_S: '0.3',
    });
    const client = await fleet.client();
    client.start('a');
    client.append('a', speak([1]));
    await client.settled();
    const sinceMs = performance.now();
    await fleet.workers[0]?.close();
    expect(performance.now() - sinceMs).toBeGreaterThan(290);
    await client.next('error');
    expect(errorOf(client, 'a').reason).toBe('worker_lost');
  });
});

const errorsOf = (client: YapSocket, requestId: string): number =>
  client.of(requestId).filter((frame) => frame.type === 'error').length;

describe('a real worker process', () => {
  const recording = readWav(readFileSync(RECORDING)).pcm;

  const launch = (): ServiceProcess =>
    new ServiceProcess('asr-worker', {
      REDIS_URL: fleet.redis.url,
      ASR_ENGINE: 'pocketsphinx',
      WORKER_SLOTS: '1',
    });
  const readyFleet = (): Promise<void> =>
    until(async () => (await fleet.get('/readyz')).status === 200, 'it is registered');

  it('killed with SIGKILL amid an utterance: another goes on with it', async () => {
    fleet = await Fleet.start([]);
    await using worker = launch();
    await worker.logged('ready');
    await readyFleet();
    const client = await fleet.client();
    client.start('a');
    for (const frame of frames(recording)) client.append('a', frame);
    await client.settled();
    await fleet.addWorker(new ScriptedEngine());
    await worker.kill('SIGKILL');
    client.append('a', silence(2_000));
    client.append('a', speak([4, 5]));
    client.finalize('a');
    expect((await client.next('final')).payload.normalized_text).toMatch(/w4 w5$/);
    expect(errorsOf(client, 'a')).toBe(0);
    client.send('end', 'bye');
    await client.closed;
    await until(async () => (await leased()) === 0, 'every slot is free');
  });

  it('told to stop by SIGTERM amid an utterance: transcribes it to its end and exits with 0', async () => {
    fleet = await Fleet.start([]);
    await using worker = launch();
    await worker.logged('ready');
    await readyFleet();
    const client = await fleet.client();
    client.start('a');
    const [first, ...rest] = frames(recording);
    client.append('a', first ?? Buffer.alloc(0));
    await client.settled();
    worker.child.kill('SIGTERM');
    await until(async () => (await fleet.get('/readyz')).status === 503, 'it drains');
    for (const frame of rest) client.append('a', frame);
    client.finalize('a');
    expect((await client.next('final')).payload.normalized_text).toMatch(/\w+ \w+/);
    expect(await worker.exited).toBe(0);
  });
});
