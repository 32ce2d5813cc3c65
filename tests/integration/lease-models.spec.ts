import { describe, expect, it } from '@jest/globals';
import type { WorkerRecord } from '@voice-fleet/fleet/worker';
import {
  atOnce,
  auditedUse,
  expectNoSlotIdle,
  granted,
  outcome,
  registerAll,
  registryOf,
  request,
  SHORT_MS,
  storeOf,
  take,
  tenant,
  until,
  worker,
} from '../support/pool.ts';

const of = (model: string, workerId: string, slots: number): WorkerRecord => ({
  ...worker(workerId, slots),
  model,
});

describe('a fleet of two models', () => {
  it('gives a request that names one a slot of a worker that serves it', async () => {
    await registerAll(of('ears', 'a', 1), of('ears', 'b', 3), of('eyes', 'c', 2));
    for (const policy of ['packing', 'spread'] as const) {
      const store = storeOf({ policy });
      const lease = await take(store, { model: 'eyes' });
      expect([lease.workerId, lease.model]).toEqual(['c', 'eyes']);
      await store.release(lease);
    }
    const store = storeOf();
    expect(await outcome(store, { model: 'ears', exclude: ['a'] })).toBe('b');
    expect(await outcome(store)).toBe('a');
    expect([
      await outcome(store, { model: 'eyes' }),
      await outcome(store, { model: 'eyes' }),
      await outcome(store, { model: 'eyes' }),
    ]).toEqual(['c', 'c', 'full']);
    expect(await outcome(store, { model: 'eyes', exclude: ['c'] })).toBe('no_workers');
    expect(await outcome(store, { model: 'nose' })).toBe('no_workers');
    expect((await registryOf().capacity()).models).toEqual(
      new Map([
        ['ears', { free: 2, waiting: 0 }],
        ['eyes', { free: 0, waiting: 0 }],
      ]),
    );
  });

  it('finds the one of many workers that serves it', async () => {
    const others = Array.from({ length: 150 }, (_, index) => of('eyes', `e${index}`, 1));
    await registerAll(...others, of('ears', 'z', 1));
    expect(await outcome(storeOf(), { model: 'ears' })).toBe('z');
    expect(await outcome(storeOf(), { model: 'ears' })).toBe('full');
  });

  it('looks past workers that are dead', async () => {
    await registryOf({ beatTtlMs: SHORT_MS }).register(of('ears', 'a', 1), []);
    await registerAll(of('eyes', 'b', 1), of('ears', 'c', 2));
    await until(async () => (await registryOf().capacity()).workers === 2);
    expect(await outcome(storeOf(), { model: 'ears' })).toBe('c');
  });

  it('lets nobody wait for those who wait for another model', async () => {
    await registerAll(of('ears', 'a', 1), of('eyes', 'b', 2));
    const store = storeOf();
    const ear = await take(store, { model: 'ears' });
    const high = tenant('first', { priority: 'high' });
    const waiting = await atOnce(20, async () => {
      const one = request({ tenant: high, model: 'ears' });
      expect(await store.enter(one)).toMatchObject({ kind: 'waiting' });
      return one.token;
    });
    expect((await registryOf().capacity()).models.get('ears')).toEqual({ free: 0, waiting: 20 });
    // Newcomers of a lower class, and such as take what is there.
    const eye = await take(store, { model: 'eyes', tenant: tenant('last', { priority: 'low' }) });
    const any = granted(await store.enter(request()));
    expect([eye.workerId, any.workerId]).toEqual(['b', 'b']);
    // Behind them in line, and of the same tenant too.
    const behind = request({ tenant: high, model: 'eyes' });
    expect(await store.enter(behind)).toMatchObject({ position: 21 });
    await store.release(eye);
    const [served] = await store.poll([behind.token]);
    expect(served).toMatchObject({ kind: 'granted', lease: { model: 'eyes' } });
    await auditedUse();
    // They have lost nothing by it.
    await store.release(ear);
    const states = await store.poll(waiting);
    expect(states.filter(({ kind }) => kind === 'granted')).toHaveLength(1);
    expect(states[0]).toMatchObject({ kind: 'granted', lease: { model: 'ears' } });
    await expectNoSlotIdle();
    for (const token of waiting) await store.abandon(token);
    await auditedUse();
  });

  it('moves a session that names one to its like alone', async () => {
    await registerAll(of('ears', 'a', 1), of('eyes', 'b', 1));
    const store = storeOf();
    const lease = await take(store, { model: 'ears' });
    const move = request({ model: 'ears', replaces: lease.token, exclude: ['a'] });
    expect(await store.enter(move)).toMatchObject({ kind: 'waiting' });
    await registerAll(of('ears', 'c', 1));
    expect(await store.poll([move.token])).toMatchObject([
      { kind: 'granted', lease: { workerId: 'c' } },
    ]);
    await auditedUse();
  });
});
