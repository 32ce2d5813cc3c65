import { setImmediate as turn } from 'node:timers/promises';
import { beforeEach, describe, expect, it } from '@jest/globals';
import { VoiceError } from '@voice-fleet/protocol/errors';
import { FakeClock } from '@voice-fleet/testkit/fake-clock';
import { type HolderListener, LinkHolder } from './link-holder.ts';
import { FakeLink, FakeRoute } from './session.fixture.ts';

describe('LinkHolder', () => {
  let clock: FakeClock;
  let route: FakeRoute;
  let lost: string[];
  let linked: string[];
  let refused: string[];
  let holder: LinkHolder;

  const listener: HolderListener = {
    onUtterance: () => undefined,
    onSettled: () => undefined,
    onTaken: () => undefined,
    onStalled: () => undefined,
    onCongestion: () => undefined,
    onDraining: () => undefined,
    onLost: (cause) => void lost.push(cause),
    onLinked: (_link, cause) => void linked.push(cause),
    onRefused: (error) => void refused.push(error.code),
  };
  const reported = (nth: number) => route.requests.at(nth)?.listener;

  beforeEach(() => {
    clock = new FakeClock();
    lost = [];
    linked = [];
    refused = [];
    route = new FakeRoute();
    route.answers = [async () => new FakeLink()];
    holder = new LinkHolder({ clock, route, listener });
  });

  it('answers the loss of a sound link at once, and repeated losses with pauses', async () => {
    await holder.open({ waitMs: 0 });
    clock.advance(60_000);
    reported(-1)?.onLost('gone');
    await turn();
    expect(route.requests).toHaveLength(2);
    for (let loss = 0; loss < 50; loss += 1) {
      reported(-1)?.onLost('gone');
      await turn();
    }
    expect(route.requests.length).toBeLessThan(5);
    clock.advance(10_000);
    await turn();
    expect(holder.link).toBeDefined();
  });

  it('does not open with a link that was lost before it could be used', async () => {
    route.answers = [
      async () => {
        reported(-1)?.onLost('gone');
        return new FakeLink();
      },
    ];
    await expect(holder.open({ waitMs: 0 })).rejects.toMatchObject({ code: 'fleet_unavailable' });
    expect(holder.link).toBeUndefined();
    expect(lost).toEqual([]);
    expect(clock.pending).toBe(0);
  });

  it('hears nothing of a link that another has replaced', async () => {
    await holder.open({ waitMs: 0 });
    reported(0)?.onLost('gone');
    await turn();
    reported(0)?.onLost('gone again');
    expect(lost).toEqual(['gone']);
    expect(holder.link).toBeDefined();
  });

  it('ends a pause when it is hurried', async () => {
    await holder.open({ waitMs: 0 });
    route.answers = [() => Promise.reject(new Error('none'))];
    reported(0)?.onLost('gone');
    await turn();
    route.answers = [async () => new FakeLink()];
    holder.hurry();
    await turn();
    expect(holder.link).toBeDefined();
    expect(clock.pending).toBe(0);
  });

  it('passes the worker lost over once, then waits in line for any', async () => {
    await holder.open({ waitMs: 0 });
    route.answers = [
      () => Promise.reject(new VoiceError('at_capacity')),
      async () => new FakeLink(),
    ];
    reported(0)?.onLost('gone');
    await turn();
    clock.advance(1_000);
    await turn();
    expect(route.requests.map(({ avoid, waitMs }) => [avoid, waitMs])).toEqual([
      [undefined, 0],
      ['w', 0],
      [undefined, 10_000],
    ]);
    expect([refused, linked]).toEqual([['at_capacity'], ['lost']]);
  });

  it('moves while the present link works on, and never to the same worker', async () => {
    const first = new FakeLink();
    route.answers = [async () => first];
    await holder.open({ waitMs: 0 });
    const second = new FakeLink();
    route.answers = [() => Promise.reject(new VoiceError('at_capacity')), async () => second];
    holder.move('draining');
    holder.move('draining');
    await turn();
    expect(holder.link).toBe(first);
    expect(first.calls).toEqual([]);
    clock.advance(1_000);
    await turn();
    expect(route.requests.map(({ leave }) => leave)).toEqual([undefined, 'w', 'w']);
    expect(holder.link).toBe(second);
    expect(linked).toEqual(['draining']);
    expect(first.calls).toEqual(['close']);
  });

  it('goes on looking when the link is lost that it was to move from', async () => {
    await holder.open({ waitMs: 0 });
    const second = new FakeLink();
    route.answers = [() => Promise.reject(new VoiceError('at_capacity')), async () => second];
    holder.move('draining');
    await turn();
    reported(0)?.onLost('gone');
    expect(lost).toEqual(['gone']);
    await turn();
    await turn();
    expect(holder.link).toBe(second);
    expect(route.requests.at(-1)).toMatchObject({ avoid: 'w', waitMs: 0 });
    expect(route.requests.at(-1)).not.toHaveProperty('leave');
  });

  it('leaves a link that is of no use: it is closed, not heard any more, and another is looked for', async () => {
    const first = new FakeLink();
    route.answers = [async () => first];
    await holder.open({ waitMs: 0 });
    route.answers = [async () => new FakeLink()];
    holder.leave('engine_failed');
    expect(holder.link).toBeUndefined();
    reported(0)?.onLost('gone');
    await turn();
    expect([first.calls, lost, linked]).toEqual([['close'], [], ['engine_failed']]);
  });

  it('asks once more for another when the link is left that it was to move from: there may be none', async () => {
    await holder.open({ waitMs: 0 });
    route.answers = [() => Promise.reject(new VoiceError('fleet_unavailable'))];
    holder.move('engine_failed');
    await turn();
    holder.leave('engine_failed');
    await turn();
    expect(route.requests.map(({ leave, avoid, waitMs }) => [leave, avoid, waitMs])).toEqual([
      [undefined, undefined, 0],
      ['w', undefined, 0],
      ['w', 'w', 0],
    ]);
    await holder.close();
  });

  it('gives its slot back once, when closed, and not when it moves', async () => {
    await holder.open({ waitMs: 0 });
    holder.leave('stalled');
    await turn();
    expect(route.released).toBe(0);
    await holder.close();
    expect(route.released).toBe(1);
  });

  describe('that is wished another delay', () => {
    beforeEach(async () => {
      await holder.open({ waitMs: 0 });
      route.farther = true;
      route.delayMs = 240;
    });

    it('goes to a worker that is nearer, asking for no other and not waiting', async () => {
      expect(await holder.wish(240)).toBe(240);
      expect(route.requests.at(-1)).toMatchObject({ waitMs: 0, leave: 'w', onlyWished: true });
      expect(linked).toEqual(['wished']);
    });

    it('stays where it is when that one is full, or none is nearer', async () => {
      const { link } = holder;
      route.answers = [() => Promise.reject(new VoiceError('at_capacity'))];
      await holder.wish(240);
      route.farther = false;
      await holder.wish(960);
      expect([holder.link === link, route.requests.length, linked, refused]).toEqual([
        true,
        2,
        [],
        [],
      ]);
    });

    it('looks for any worker when it loses its own meanwhile', async () => {
      route.answers = [
        async () => {
          reported(0)?.onLost('gone');
          throw new VoiceError('at_capacity');
        },
        async () => new FakeLink(),
      ];
      await holder.wish(240);
      await turn();
      expect(lost).toEqual(['gone']);
      expect(linked).toEqual(['lost']);
      expect(route.requests.at(-1)?.onlyWished).toBeUndefined();
    });

    it('goes on looking when its slot was given up for one whose worker would not have it', async () => {
      route.answers = [
        async () => {
          route.workerId = 'x';
          throw new VoiceError('fleet_unavailable');
        },
        async () => new FakeLink(),
      ];
      await holder.wish(240);
      await turn();
      expect(linked).toEqual(['wished']);
    });
  });
});
