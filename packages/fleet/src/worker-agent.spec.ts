import { setImmediate as turn } from 'node:timers/promises';
import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { FakeClock } from '@voice-fleet/testkit/fake-clock';
import { RedisUnavailable } from './redis.ts';
import type { ServedLease, WorkerRecord, WorkerState } from './worker.ts';
import { BEAT_INTERVAL_MS, WorkerAgent } from './worker-agent.ts';

/** Remembers the worker like Redis does, and forgets or fails when told to. */
class FakeRegistry {
  readonly calls: string[] = [];
  known = false;
  away = false;
  broken = false;

  async beat(worker: WorkerRecord): Promise<'ok' | 'unknown'> {
    this.#call(`beat ${worker.state}`);
    return this.known ? 'ok' : 'unknown';
  }

  async register(_worker: WorkerRecord, leases: readonly ServedLease[]): Promise<void> {
    this.#call(`register ${leases.map(({ token }) => token).join()}`);
    this.known = true;
  }

  async deregister(workerId: string): Promise<void> {
    this.#call(`deregister ${workerId}`);
    this.known = false;
  }

  #call(name: string): void {
    this.calls.push(name);
    if (this.away) throw new RedisUnavailable(new Error('gone'));
    if (this.broken) throw new Error('bug');
  }
}

describe('WorkerAgent', () => {
  let clock: FakeClock;
  let registry: FakeRegistry;
  let agent: WorkerAgent;
  let state: WorkerState;
  let errors: unknown[];

  beforeEach(async () => {
    clock = new FakeClock();
    registry = new FakeRegistry();
    state = 'ready';
    errors = [];
    agent = new WorkerAgent({
      registry,
      clock,
      describe: () => ({
        workerId: 'w',
        address: 'ws://w',
        model: 'm',
        engine: 'e',
        slots: 4,
        state,
      }),
      leases: () => [{ token: 't', epoch: 3, sessionId: 's', tenantId: 'acme' }],
      onError: (error) => errors.push(error),
    });
    agent.start();
    await turn();
  });
  afterEach(() => agent.stop());

  const nextBeat = async (): Promise<void> => {
    clock.advance(BEAT_INTERVAL_MS);
    await turn();
  };

  it('registers with its leases when unknown, then sends beats without them', async () => {
    await nextBeat();
    expect(registry.calls).toEqual(['beat ready', 'register t', 'beat ready']);
  });

  it('brings its leases again when Redis has forgotten it', async () => {
    registry.known = false;
    await nextBeat();
    expect(registry.calls.slice(2)).toEqual(['beat ready', 'register t']);
  });

  it('goes on beating while Redis is away', async () => {
    registry.away = true;
    await nextBeat();
    registry.away = false;
    await nextBeat();
    expect(registry.calls.slice(2)).toEqual(['beat ready', 'beat ready']);
    expect(errors).toEqual([]);
  });

  it('reports a fault that is not Redis being away, and goes on', async () => {
    registry.broken = true;
    await nextBeat();
    registry.broken = false;
    await nextBeat();
    expect(errors).toHaveLength(1);
    expect(registry.calls.slice(2)).toEqual(['beat ready', 'beat ready']);
  });

  it('announces a change at once', async () => {
    state = 'draining';
    agent.announce();
    await turn();
    expect(registry.calls.at(-1)).toBe('beat draining');
    expect(clock.pending).toBe(1);
  });

  it('announces a change made during a beat with one more beat', async () => {
    agent.announce();
    state = 'draining';
    agent.announce();
    agent.announce();
    await turn();
    expect(registry.calls.slice(2)).toEqual(['beat ready', 'beat draining']);
    expect(clock.pending).toBe(1);
  });

  it('leaves the fleet when it stops, and leaves no timer', async () => {
    await agent.stop();
    expect(registry.calls.at(-1)).toBe('deregister w');
    expect(clock.pending).toBe(0);
    agent.announce();
    await nextBeat();
    expect(registry.calls.at(-1)).toBe('deregister w');
  });

  it('leaves word of its end, and then does nothing more', async () => {
    state = 'failed';
    await agent.leaveWord();
    expect(registry.calls.slice(2)).toEqual(['beat failed']);
    agent.announce();
    await agent.leaveWord();
    await agent.stop();
    expect([registry.calls.length, clock.pending]).toEqual([3, 0]);
  });

  it('tries for two seconds to leave word while Redis is away', async () => {
    registry.away = true;
    const left = agent.leaveWord();
    await turn();
    registry.away = false;
    clock.advance(100);
    await left;
    expect(registry.calls.slice(2)).toEqual(['beat ready', 'beat ready']);
    expect([errors, clock.pending]).toEqual([[], 0]);
  });

  it('gives up leaving word in the end', async () => {
    registry.away = true;
    let isOver = false;
    const left = agent.leaveWord().then(() => {
      isOver = true;
    });
    for (let tries = 0; tries < 19; tries += 1) {
      expect(isOver).toBe(false);
      await turn();
      clock.advance(100);
    }
    await left;
    expect(registry.calls).toHaveLength(2 + 20);
  });

  it('stops quietly while Redis is away', async () => {
    registry.away = true;
    await agent.stop();
    expect(errors).toEqual([]);
  });
});
