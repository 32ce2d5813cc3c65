import { afterEach, describe, expect, it } from '@jest/globals';
import { range, speak, transcript } from '@voice-fleet/testkit/coded-speech';
import { Fleet, KEY } from '../support/fleet.ts';
import { ScriptedEngine } from '../support/scripted-engine.ts';
import { ServiceProcess } from '../support/service-process.ts';
import { stopwatch } from '../support/stopwatch.ts';
import { until } from '../support/until.ts';
import { YapSocket } from '../support/yap-socket.ts';

let fleet: Fleet;
afterEach(() => fleet[Symbol.asyncDispose]());

const readyz = async (gateway = 0): Promise<Record<string, unknown>> =>
  (await fleet.get('/readyz', gateway)).body;
const leased = async (): Promise<unknown> => (await readyz())['leased'];

async function expectWhole(client: YapSocket, requestId: string, words: number[]): Promise<void> {
  client.say(requestId, speak(words));
  const final = await client.next('final');
  expect([final.request_id, final.payload.normalized_text]).toEqual([requestId, transcript(words)]);
}

const outcome = (dial: YapSocket): Promise<'admitted' | 'refused'> =>
  Promise.race([
    dial.next('session.created').then(() => 'admitted' as const),
    dial.closed.then(() => 'refused' as const),
  ]);

async function expectRetryableRefusal(socket: YapSocket): Promise<void> {
  const { payload } = await socket.next('error');
  expect(payload.code).toBe('internal_error');
  expect(payload.details.reason_code).toBe('fleet_unavailable');
  expect(await socket.closed).toEqual({ code: 1013, reason: payload.message });
}

describe('Redis that is gone', () => {
  it('stops no session that is running, over several utterances, while leases run out; new ones get a retryable refusal', async () => {
    fleet = await Fleet.start([new ScriptedEngine({ slots: 3 })], { LEASE_TTL_S: '0.6' });
    const client = await fleet.client();
    client.start('open');
    client.append('open', speak([1, 2]));
    await fleet.redis.kill();
    const killedMs = performance.now();
    client.append('open', speak([3, 4]));
    client.finalize('open');
    expect((await client.next('final')).payload.normalized_text).toBe(transcript(range(1, 4)));
    let nth = 0;
    await until(async () => {
      nth += 1;
      await expectWhole(client, `u${nth}`, range(nth, nth + 5));
      return performance.now() - killedMs > 2_000;
    }, 'three lease times have passed');
    expect(nth).toBeGreaterThan(2);
    for (let dial = 0; dial < 3; dial += 1) await expectRetryableRefusal(fleet.dial());
    expect((await readyz())['reason']).toBe('redis_unavailable');
    await expectWhole(client, 'last', [9]);
  });

  it('comes back empty: leases are known again, no slot is given twice, and new sessions are admitted', async () => {
    fleet = await Fleet.start([new ScriptedEngine({ slots: 3 })]);
    const running = [await fleet.client(), await fleet.client()];
    await fleet.redis.restart();
    await until(async () => (await fleet.get('/readyz')).status === 200, 'ready');
    expect(await readyz()).toMatchObject({ slots: 3, leased: 2, workers: 1 });
    // One slot is left, and many ask for it.
    const dials = range(1, 6).map(() => fleet.dial());
    const outcomes = await Promise.all(dials.map(outcome));
    expect(outcomes.filter((each) => each === 'admitted')).toHaveLength(1);
    for (const [nth, client] of running.entries()) await expectWhole(client, `u${nth}`, [4, 5, 6]);
    running[0]?.send('end', 'bye');
    await until(async () => (await leased()) === 2, 'the slot of before the loss is free');
    await fleet.client();
    expect(await leased()).toBe(3);
  });

  it('comes back empty under sessions that last: their leases are renewed for more than a lease time', async () => {
    fleet = await Fleet.start([new ScriptedEngine({ slots: 2 })], { LEASE_TTL_S: '0.6' });
    const client = await fleet.client();
    await fleet.redis.restart();
    await until(async () => (await leased()) === 1, 'the lease is known');
    const sinceMs = performance.now();
    await until(async () => {
      expect(await leased()).toBe(1);
      return performance.now() - sinceMs > 1_800;
    }, 'three lease times have passed');
    await expectWhole(client, 'u', [1, 2]);
    expect(client.received.some((frame) => frame.type === 'error')).toBe(false);
  });

  it('leaves a fleet that was full as full as before when it comes back empty', async () => {
    fleet = await Fleet.start([new ScriptedEngine({ slots: 1 }), new ScriptedEngine({ slots: 1 })]);
    await until(async () => (await readyz())['slots'] === 2, 'both workers are known');
    const clients = [await fleet.client(), await fleet.client()];
    await fleet.redis.restart();
    // Dialled all along: before the workers are back they are refused, and after it, too.
    let refused = 0;
    await until(async () => {
      const dial = fleet.dial();
      expect((await dial.closed).code).toBe(1013);
      expect(dial.received.map((frame) => frame.type)).toEqual(['error']);
      refused += 1;
      return (await leased()) === 2;
    }, 'both leases are known');
    expect(refused).toBeGreaterThan(0);
    for (const client of clients) await expectWhole(client, 'u', [1, 2]);
  });

  it('answers nothing while frozen, and then refuses within its time limit instead of hanging', async () => {
    fleet = await Fleet.start([new ScriptedEngine()]);
    const client = await fleet.client();
    fleet.redis.freeze();
    const took = stopwatch();
    await expectRetryableRefusal(fleet.dial());
    expect(took()).toBeLessThan(5_000);
    await expectWhole(client, 'u', [1, 2, 3]);
    fleet.redis.thaw();
    await until(async () => (await fleet.get('/readyz')).status === 200, 'ready');
    await fleet.client();
  });
});

describe('a gateway process killed with SIGKILL', () => {
  it('frees its slots at the end of their lease time, and no sooner for anyone else', async () => {
    const env = { LEASE_TTL_S: '3' };
    const engine = new ScriptedEngine({ slots: 1 });
    fleet = await Fleet.start([engine], env);
    await using gateway = new ServiceProcess('gateway', {
      REDIS_URL: fleet.redis.url,
      VOXTRAL_API_KEY: KEY,
      ...env,
    });
    const { port } = await gateway.logged('listening');
    const doomed = new YapSocket(`ws://127.0.0.1:${port}/api/asr-streaming?api_key=${KEY}`);
    await doomed.next('session.created');
    doomed.start('a');
    doomed.append('a', speak([1, 2]));
    await doomed.next('token');
    await gateway.kill('SIGKILL');
    const sinceMs = performance.now();
    const took = stopwatch();
    const dropped = stopwatch();
    expect((await doomed.closed).code).toBe(1006);
    await until(() => engine.openStreams === 0, 'the worker drops the utterance at once');
    expect(dropped()).toBeLessThan(1_500);
    // Nobody gave the lease back, so the slot counts as taken until its time is up.
    expect((await readyz())['leased']).toBe(1);
    let dial = fleet.dial();
    while ((await outcome(dial)) === 'refused') dial = fleet.dial();
    // It was renewed at most a third of its time before.
    expect(performance.now() - sinceMs).toBeGreaterThan(1_500);
    expect(took()).toBeLessThan(5_000);
    await expectWhole(dial, 'u', [1, 2]);
  });
});
