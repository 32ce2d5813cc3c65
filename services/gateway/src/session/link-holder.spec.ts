import { setImmediate as turn } from 'node:timers/promises';
import { beforeEach, describe, expect, it } from '@jest/globals';
import { FakeClock } from '@voice-fleet/testkit/fake-clock';
import type { Link, LinkListener } from './link.ts';
import { LinkHolder } from './link-holder.ts';
import { FakeLink } from './session.fixture.ts';

describe('LinkHolder', () => {
  let clock: FakeClock;
  let listeners: LinkListener[];
  let lost: string[];
  let answer: () => Promise<Link>;
  let holder: LinkHolder;

  const listener: LinkListener = {
    onUtterance: () => undefined,
    onStalled: () => undefined,
    onCongestion: () => undefined,
    onLost: (cause) => void lost.push(cause),
  };

  beforeEach(() => {
    clock = new FakeClock();
    listeners = [];
    lost = [];
    answer = async () => new FakeLink();
    holder = new LinkHolder({
      sessionId: 'sess_1',
      clock,
      listener,
      connect: (request) => {
        listeners.push(request.listener);
        return answer();
      },
    });
  });

  it('answers the loss of a sound link at once, and repeated losses with pauses', async () => {
    await holder.open();
    clock.advance(60_000);
    listeners.at(-1)?.onLost('gone');
    await turn();
    expect(listeners).toHaveLength(2);
    for (let loss = 0; loss < 50; loss += 1) {
      listeners.at(-1)?.onLost('gone');
      await turn();
    }
    expect(listeners.length).toBeLessThan(5);
    clock.advance(10_000);
    await turn();
    expect(holder.link).toBeDefined();
  });

  it('does not open with a link that was lost before it could be used', async () => {
    answer = async () => {
      listeners.at(-1)?.onLost('gone');
      return new FakeLink();
    };
    await expect(holder.open()).rejects.toMatchObject({ code: 'fleet_unavailable' });
    expect(holder.link).toBeUndefined();
    expect(lost).toEqual([]);
    expect(clock.pending).toBe(0);
  });

  it('hears nothing of a link that another has replaced', async () => {
    await holder.open();
    listeners[0]?.onLost('gone');
    await turn();
    listeners[0]?.onLost('gone again');
    expect(lost).toEqual(['gone']);
    expect(holder.link).toBeDefined();
  });

  it('ends a pause when it is hurried', async () => {
    await holder.open();
    answer = () => Promise.reject(new Error('none'));
    listeners[0]?.onLost('gone');
    await turn();
    answer = async () => new FakeLink();
    holder.hurry();
    await turn();
    expect(holder.link).toBeDefined();
    expect(clock.pending).toBe(0);
  });
});
