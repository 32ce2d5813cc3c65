import { beforeEach, describe, expect, it } from '@jest/globals';
import type { LeaseRequest, Placement, Refusal } from '@voice-fleet/fleet/lease';
import { FakeClock } from '@voice-fleet/testkit/fake-clock';
import { DemandBook, REFUSED_MS } from './demand-book.ts';

const GRANTED: Placement = {
  kind: 'granted',
  lease: { token: 't', workerId: 'w', address: 'ws://w', model: 'served', epoch: 1 },
};
const refusal = (reason: Refusal): Placement => ({ kind: 'refused', reason });
const REQUEST: LeaseRequest = {
  token: 't',
  sessionId: 's',
  tenant: { id: 't', maxSessions: 0, sessionsPerSecond: 0, weight: 1, priority: 'normal' },
};

let clock: FakeClock;
let book: DemandBook;
beforeEach(() => {
  clock = new FakeClock();
  book = new DemandBook(clock);
});

async function asks(placement: Placement, over: Partial<LeaseRequest> = {}): Promise<void> {
  const line = book.watch({ acquire: async () => placement });
  const options = { signal: new AbortController().signal, waitMs: 0 };
  expect(await line.acquire({ ...REQUEST, ...over }, options)).toBe(placement);
}

describe('DemandBook', () => {
  it('counts a new session under the model that it got', async () => {
    await asks(GRANTED, { model: 'alias' });
    await asks(GRANTED);
    expect(book.asked(new Map()).came).toEqual({ served: 2 });
  });

  it('counts neither who moves nor who comes back', async () => {
    await asks(GRANTED, { replaces: 'old' });
    await asks(refusal('full'), { replaces: 'old' });
    await asks(refusal('no_workers'), { resumes: true });
    expect(book.asked(new Map())).toEqual({ waiting: {}, refused: {}, came: {} });
  });

  it.each(['full', 'line_full', 'no_workers'] as const)('counts a refusal for %s', async (why) => {
    await asks(refusal(why), { model: 'm' });
    await asks(refusal(why));
    expect(book.asked(new Map())).toMatchObject({ refused: { m: 1, '': 1 } });
  });

  it.each(['limit', 'tenant_sessions', 'tenant_rate'] as const)(
    'wants no worker for one refused for %s',
    async (why) => {
      await asks(refusal(why));
      expect(book.asked(new Map())).toMatchObject({ refused: {}, came: {} });
    },
  );

  it('counts a client once that tries again without passing workers over', async () => {
    await asks(refusal('full'), { exclude: ['w'] });
    await asks(refusal('full'));
    expect(book.asked(new Map()).refused).toEqual({ '': 1 });
  });

  it('forgets a refusal after a minute, but not that somebody came', () => {
    book.refused('m');
    clock.advance(REFUSED_MS / 2);
    book.refused('m');
    expect(book.asked(new Map()).refused).toEqual({ m: 2 });
    clock.advance(REFUSED_MS / 2);
    expect(book.asked(new Map()).refused).toEqual({ m: 1 });
    clock.advance(REFUSED_MS);
    expect(book.asked(new Map())).toEqual({ waiting: {}, refused: {}, came: { m: 2 } });
  });

  it('tells of who is held before the line', () => {
    expect(book.asked(new Map([['m', 3]])).waiting).toEqual({ m: 3 });
  });

  it('tells 64 names of models apart and counts further ones as none', () => {
    for (let index = 0; index < 1_000; index += 1) book.refused(`m${index}`);
    const { refused, came } = book.asked(new Map());
    expect(Object.keys(refused)).toHaveLength(65);
    expect(refused['']).toBe(936);
    expect(came['']).toBe(936);
  });
});
