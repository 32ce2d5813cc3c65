import { beforeEach, describe, expect, it } from '@jest/globals';
import { FakeClock } from '@voice-fleet/testkit/fake-clock';
import { RequestSlots } from './request-slots.ts';

describe('slots for large requests', () => {
  let clock: FakeClock;
  let slots: RequestSlots;
  beforeEach(() => {
    clock = new FakeClock();
    slots = new RequestSlots(2);
  });
  const code = (run: () => unknown): unknown => {
    try {
      run();
      return undefined;
    } catch (error) {
      return error;
    }
  };

  it('are so many, and each is free again once', () => {
    const first = slots.enter('acme');
    slots.enter('acme');
    expect(code(() => slots.enter('acme'))).toMatchObject({
      code: 'at_capacity',
      details: { retry_after_s: 2 },
    });
    first.leave();
    first.leave();
    slots.enter('acme');
    expect(code(() => slots.enter('acme'))).toMatchObject({ code: 'at_capacity' });
  });

  it('are not all one tenant’s, unless there are too few to share', () => {
    slots = new RequestSlots(8);
    const own = [1, 2, 3, 4, 5, 6].map(() => slots.enter('acme'));
    expect(code(() => slots.enter('acme'))).toMatchObject({ code: 'too_many_sessions' });
    slots.enter('other');
    own[0]?.leave();
    own[0]?.leave();
    slots.enter('acme');
    expect(code(() => slots.enter('acme'))).toMatchObject({ code: 'too_many_sessions' });
    slots.enter('other');
    expect(code(() => slots.enter('third'))).toMatchObject({ code: 'at_capacity' });
  });

  it('are waited for when the process stops, which takes no more', async () => {
    const slot = slots.enter('acme');
    let drained = false;
    const draining = slots.drain(clock, 1_000).then(() => {
      drained = true;
    });
    expect(code(() => slots.enter('acme'))).toMatchObject({ code: 'fleet_unavailable' });
    clock.advance(999);
    await new Promise(setImmediate);
    expect([slot.signal.aborted, drained]).toEqual([false, false]);
    slot.leave();
    await draining;
    expect(clock.pending).toBe(0);
  });

  it('abort those who take too long then', async () => {
    const slot = slots.enter('acme');
    slot.signal.addEventListener('abort', () => slot.leave());
    const draining = slots.drain(clock, 1_000);
    clock.advance(1_000);
    await draining;
    expect(slot.signal.aborted).toBe(true);
  });

  it('are not waited for when nobody has one', async () => {
    await slots.drain(clock, 1_000);
    expect(clock.pending).toBe(0);
  });
});
