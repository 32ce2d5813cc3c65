import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { range, transcript } from '@voice-fleet/testkit/coded-speech';
import { addAccounts } from '../chaos/word-account.ts';
import type { PodRun } from '../support/kubelet/pod-run.ts';
import { until } from '../support/until.ts';
import { GATEWAY, LLM_TTS, POOL_A, POOL_B, Rehearsal } from './rehearsal.fixture.ts';

const SPEAKERS = 5;

let rehearsal: Rehearsal;
beforeAll(async () => {
  rehearsal = await Rehearsal.start();
  await rehearsal.upgrade('1');
});
afterAll(() => rehearsal[Symbol.asyncDispose]());

/** Every probe of every container that runs now has been answered well. */
function proven(): Promise<void> {
  const unproven = (): string[] =>
    rehearsal.cluster.pods.flatMap((pod) =>
      pod.containers
        .filter(({ running }) => running)
        .flatMap(({ name, unproven: kinds }) => kinds.map((kind) => `${pod.name} ${name} ${kind}`)),
    );
  return until(() => unproven().length === 0, 'every probe is answered');
}

/** Those that ended did so when asked, by themselves and in their grace; none by accident. */
function expectCleanExits(): void {
  const { exits } = rehearsal.cluster;
  const served = exits.filter(({ container }) => container !== 'model' && container !== 'smoke');
  expect(served.filter(({ asked }) => asked !== 'deletion')).toEqual([]);
  expect(served.filter(({ killed, code }) => killed || code !== 0)).toEqual([]);
  expect(served.filter(({ preStop }) => preStop && preStop.code !== 0)).toEqual([]);
}

describe('the chart on a cluster of processes', () => {
  it('is installed: every pod becomes ready, every probe is answered, and helm test hears words', async () => {
    await proven();
    expect(rehearsal.pods(GATEWAY)).toHaveLength(2);
    expect(rehearsal.pods(POOL_A).map(({ name }) => name)).toEqual([`${POOL_A}-0`, `${POOL_A}-1`]);
    expect(rehearsal.pods(POOL_B)).toHaveLength(1);
    expect(rehearsal.pods(LLM_TTS)).toHaveLength(1);
    const { succeeded, lines } = await rehearsal.test();
    expect([succeeded, lines]).toEqual([true, expect.anything()]);
  });

  it('is upgraded in all its parts at once while people speak: no word is lost, and nobody is sent away', async () => {
    await rehearsal.speak(SPEAKERS);
    rehearsal.ask();
    const before = rehearsal.cluster.pods;
    const upgraded = rehearsal.upgrade('2');
    const leaving = (): PodRun | undefined =>
      rehearsal.pods(GATEWAY).find(({ terminating }) => terminating);
    await rehearsal.cluster.until(() => leaving() !== undefined);
    // Load balancers have not let go of it: it is as good as any other.
    expect(await rehearsal.visit(leaving() as PodRun)).toBe(transcript(range(1, 5)));
    await upgraded;
    await rehearsal.heard();
    await proven();
    const after = rehearsal.cluster.pods;
    expect(after.filter((pod) => before.includes(pod))).toEqual([]);
    expect(after).toHaveLength(before.length);
    expect(after.every(({ ready }) => ready)).toBe(true);
    expect(rehearsal.speakers.flatMap(({ failures }) => failures)).toEqual([]);
    // No gateway is left that they began with.
    const resumes = rehearsal.speakers.map(({ client }) => client?.continuity?.resumes ?? 0);
    expect(Math.min(...resumes)).toBeGreaterThan(0);
    expectCleanExits();
  });

  it('shrinks while people speak: those of the highest ordinal go on elsewhere', async () => {
    const last = `${POOL_A}-1`;
    expect((await rehearsal.sessions()).get(last)).toBeGreaterThan(0);
    rehearsal.cluster.scale(POOL_A, 1);
    await rehearsal.cluster.settled();
    await rehearsal.heard();
    expect(rehearsal.pods(POOL_A).map(({ name }) => name)).toEqual([`${POOL_A}-0`]);
    expect((await rehearsal.sessions()).get(last)).toBeUndefined();
    expectCleanExits();
  });

  it('has every word once in the end, has refused nobody, and has told what its pods would cost', async () => {
    const busy = await rehearsal.sessions();
    const [pod] = rehearsal.pods(POOL_B);
    await until(() => Number(rehearsal.costs.get(pod?.name ?? '')?.at(-1)) > 0, 'it has told');
    expect(busy.get(pod?.name ?? '')).toBeGreaterThan(0);
    await rehearsal.stop();
    const words = addAccounts(rehearsal.speakers.flatMap((speaker) => speaker.accounts()));
    expect(words).toMatchObject({ lost: 0, doubled: 0, reordered: 0, foreign: 0 });
    expect(words.sent).toBeGreaterThan(SPEAKERS * 10);
    expect(rehearsal.speakers.flatMap(({ failures }) => failures)).toEqual([]);
    expect(rehearsal.replies.failed).toEqual([]);
    expect(rehearsal.replies.well).toBeGreaterThan(10);
    for (const name of [GATEWAY, LLM_TTS])
      expect(rehearsal.cluster.service(name).refusals).toEqual([]);
    expect(rehearsal.patches.refused).toEqual([]);
  });
});
