import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { range, speak, transcript } from '@voice-fleet/testkit/coded-speech';
import { Fleet } from '../support/fleet.ts';
import { ScriptedEngine } from '../support/scripted-engine.ts';
import { stopwatch } from '../support/stopwatch.ts';

let fleet: Fleet;

describe('P45: a gateway that is told to stop', () => {
  beforeEach(async () => {
    fleet = await Fleet.start([new ScriptedEngine()], { DRAIN_S: '1.5' });
  });
  afterEach(() => fleet[Symbol.asyncDispose]());

  const stop = (): Promise<void> | undefined => fleet.gateways.shift()?.close();

  it('tells every client, closes the idle at once, and the others when their utterance has ended', async () => {
    const idle = await fleet.client();
    const busy = await fleet.client();
    busy.start('a');
    busy.append('a', speak([1, 2]));
    await busy.next('token');
    const took = stopwatch();
    const stopped = stop();
    for (const client of [idle, busy])
      expect((await client.next('status')).payload).toEqual({ kind: 'shutdown', grace_s: 1.5 });
    expect((await idle.closed).code).toBe(1012);
    busy.append('a', speak([3, 4]));
    busy.finalize('a');
    expect((await busy.next('final')).payload.normalized_text).toBe(transcript(range(1, 4)));
    await busy.next('done');
    expect((await busy.closed).code).toBe(1012);
    await stopped;
    expect(took()).toBeLessThan(1_400);
  });

  it('waits no longer than DRAIN_S for an utterance', async () => {
    const busy = await fleet.client();
    busy.start('a');
    busy.append('a', speak([1, 2]));
    await busy.next('token');
    const sinceMs = performance.now();
    await stop();
    expect(performance.now() - sinceMs).toBeGreaterThan(1_400);
    expect((await busy.closed).code).toBe(1012);
  });

  it('sends those that wait for a slot away at once', async () => {
    await Promise.all(range(1, 4).map(() => fleet.client()));
    const waiting = fleet.dial({ query: '?api_key=test-key&wait=20' });
    await waiting.next('status');
    const stopped = stop();
    expect((await waiting.closed).code).toBe(1012);
    await stopped;
  });
});
