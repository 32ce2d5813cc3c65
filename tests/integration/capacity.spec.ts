import { afterEach, describe, expect, it } from '@jest/globals';
import { range, speak, transcript } from '@voice-fleet/testkit/coded-speech';
import { Fleet } from '../support/fleet.ts';
import { ScriptedEngine } from '../support/scripted-engine.ts';
import { stopwatch } from '../support/stopwatch.ts';
import { until } from '../support/until.ts';
import type { YapSocket } from '../support/yap-socket.ts';

/** Dials without waiting, and tells whether each was let in. */
async function outcomes(sockets: readonly YapSocket[]): Promise<('admitted' | 'refused')[]> {
  return Promise.all(
    sockets.map((socket) =>
      Promise.race([
        socket.next('session.created').then(() => 'admitted' as const),
        socket.closed.then(() => 'refused' as const),
      ]),
    ),
  );
}

async function expectRefused(socket: YapSocket): Promise<void> {
  const { session_id, request_id, payload } = await socket.next('error');
  expect([session_id, request_id]).toEqual(['unknown', 'unknown']);
  expect(payload.code).toBe('server_at_capacity');
  expect(payload.details.reason_code).toBe('server_at_capacity');
  expect(await socket.closed).toEqual({ code: 1013, reason: payload.message });
  expect(socket.received).toHaveLength(1);
}

describe('capacity of the fleet', () => {
  let fleet: Fleet;
  afterEach(() => fleet[Symbol.asyncDispose]());

  const workerMetrics = async (index = 0): Promise<string> => {
    const port = fleet.workers[index]?.internalPort;
    return (await fetch(`http://127.0.0.1:${port}/metrics`)).text();
  };
  const leased = async (): Promise<unknown> => (await fleet.get('/readyz')).body['leased'];

  const slotsKnown = (count: number): Promise<void> =>
    until(
      async () => (await fleet.get('/readyz')).body['slots'] === count,
      'all workers are known',
    );
  const secondGateway = async (env: Record<string, string> = {}): Promise<void> => {
    await fleet.addGateway(env);
    await until(async () => (await fleet.get('/readyz', 1)).status === 200, 'it is ready, too');
  };

  const LIMITS = [
    ['MAX_CONCURRENT_CONNECTIONS=2', 8, { MAX_CONCURRENT_CONNECTIONS: '2' }],
    ['two slots of the engine', 2, {}],
    ['WORKER_SLOTS=2', 8, { WORKER_SLOTS: '2' }],
  ] as const;

  it.each(LIMITS)(
    'refuses the third session under %s, and lets one in within a second of another leaving (Y6)',
    async (_limit, slots, env) => {
      fleet = await Fleet.start([new ScriptedEngine({ slots })], env);
      const first = await fleet.client();
      const second = await fleet.client();
      await expectRefused(fleet.dial());
      first.send('end', 'bye');
      expect((await first.closed).code).toBe(1000);
      const took = stopwatch();
      // The slot goes back when the worker has let go, which may be a moment after the close.
      await until(
        async () => (await outcomes([fleet.dial()]))[0] === 'admitted',
        'another is let in',
      );
      expect(took()).toBeLessThan(1_000);
      await expectRefused(fleet.dial());
      second.say('u', speak([7, 8]));
      expect((await second.next('final')).payload.normalized_text).toBe(transcript([7, 8]));
    },
  );

  it('lets the next one in within a second of a client that vanished without a word (Y6)', async () => {
    fleet = await Fleet.start([new ScriptedEngine({ slots: 1 })]);
    const client = await fleet.client();
    client.terminate();
    const took = stopwatch();
    await until(
      async () => (await outcomes([fleet.dial()]))[0] === 'admitted',
      'the slot is free again',
    );
    expect(took()).toBeLessThan(1_000);
  });

  it('admits exactly as many as there are slots when many dial several gateways at once (Y6)', async () => {
    fleet = await Fleet.start([new ScriptedEngine({ slots: 2 }), new ScriptedEngine({ slots: 3 })]);
    await secondGateway();
    await slotsKnown(5);
    const dials = range(1, 16).map((nth) => fleet.dial({ gateway: nth % 2 }));
    const admitted = (await outcomes(dials)).filter((outcome) => outcome === 'admitted');
    expect(admitted).toHaveLength(5);
    expect(await leased()).toBe(5);
  });

  it('holds a limit of two over all gateways together, however many slots there are (Y6)', async () => {
    const env = { MAX_CONCURRENT_CONNECTIONS: '2' };
    fleet = await Fleet.start([new ScriptedEngine({ slots: 8 })], env);
    await secondGateway(env);
    const dials = range(1, 8).map((nth) => fleet.dial({ gateway: nth % 2 }));
    const admitted = (await outcomes(dials)).filter((outcome) => outcome === 'admitted');
    expect(admitted).toHaveLength(2);
  });

  it('does not count rejected keys: they take no slot (Y6)', async () => {
    fleet = await Fleet.start([new ScriptedEngine({ slots: 1 })]);
    for (let nth = 0; nth < 3; nth += 1) await fleet.dial({ query: '?api_key=wrong' }).closed;
    expect(await leased()).toBe(0);
    await fleet.client();
  });

  it('takes the slots that the engine declares where no limit is set, and shows them (Y7)', async () => {
    fleet = await Fleet.start([new ScriptedEngine({ slots: 3 })], {
      MAX_CONCURRENT_CONNECTIONS: '0',
    });
    for (let nth = 1; nth <= 3; nth += 1) {
      expect((await fleet.get('/readyz')).body).toMatchObject({ slots: 3, leased: nth - 1 });
      await fleet.client();
    }
    await expectRefused(fleet.dial());
    const metrics = await workerMetrics();
    expect(metrics).toMatch(/^voice_worker_slots\{pool="default"\} 3$/m);
    expect(metrics).toMatch(/^voice_worker_slots_used\{pool="default"\} 3$/m);
    expect(await fleet.metrics()).toMatch(
      /voice_gateway_admissions_total\{protocol="yap",outcome="rejected_capacity"\} 1/,
    );
  });

  it('adds up the slots of all workers, and shows the lower of slots and limit (Y7)', async () => {
    const engines = [new ScriptedEngine({ slots: 2 }), new ScriptedEngine({ slots: 5 })];
    fleet = await Fleet.start(engines);
    await slotsKnown(7);
    await secondGateway({ MAX_CONCURRENT_CONNECTIONS: '4' });
    expect((await fleet.get('/readyz', 1)).body['slots']).toBe(4);
  });

  it('shares clients out among the pools of its workers by weight, by ordinal within one, and uses every slot', async () => {
    fleet = await Fleet.start([], {
      FLEET_PLACEMENT: 'ordinal',
      FLEET_POOL_WEIGHTS: '{"stable": 2, "canary": 1}',
    });
    const pools = [
      ['stable', '1'],
      ['stable', '0'],
      ['canary', '0'],
    ] as const;
    for (const [WORKER_POOL, WORKER_ORDINAL] of pools)
      await fleet.addWorker(new ScriptedEngine({ slots: 2 }), { WORKER_POOL, WORKER_ORDINAL });
    await slotsKnown(6);
    const used = async (): Promise<unknown[]> => {
      const pages = await Promise.all([0, 1, 2].map((index) => workerMetrics(index)));
      return pages.map((page) =>
        /^voice_worker_slots_used\{pool="(\w+)"\} (\d)$/m.exec(page)?.slice(1),
      );
    };
    for (let nth = 0; nth < 3; nth += 1) await fleet.client();
    expect(await used()).toEqual([
      ['stable', '0'],
      ['stable', '2'],
      ['canary', '1'],
    ]);
    for (let nth = 0; nth < 3; nth += 1) await fleet.client();
    await expectRefused(fleet.dial());
    expect(await leased()).toBe(6);
  });

  it('gives every slot back when its session ends, however it ends', async () => {
    const engine = new ScriptedEngine({ slots: 6 });
    fleet = await Fleet.start([engine]);
    const clients = [await fleet.client(), await fleet.client(), await fleet.client()];
    for (const client of clients) {
      client.start('u');
      client.append('u', speak([1, 2]));
      await client.settled();
    }
    clients[0]?.send('end', 'bye');
    clients[1]?.terminate();
    clients[2]?.socket.close(1000);
    await until(async () => (await leased()) === 0, 'all leases are back');
    expect(await workerMetrics()).toMatch(/^voice_worker_slots_used\{pool="default"\} 0$/m);
    await until(() => engine.openStreams === 0, 'no stream is left open');
  });
});
