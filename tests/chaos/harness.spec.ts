import { afterEach, describe, expect, it } from '@jest/globals';
import { YapClient } from '@voice-fleet/client/yap-client';
import { until } from '../support/until.ts';
import { type Damage, LossyServer } from './lossy-server.fixture.ts';
import { readOptions } from './options.ts';
import { wordDelays } from './pauses.ts';
import { renderReports, type ScenarioReport } from './report.ts';
import { randomFrom } from './scenario.ts';
import { Speaker } from './speaker.ts';
import { Trial } from './trial.ts';

/** Sixteen times as fast as people speak; a word lasts 25 ms. */
const PACE_MS = 5;
const WORDS = 60;

const owned: AsyncDisposable[] = [];
afterEach(async () => {
  for (const one of owned.splice(0)) await one[Symbol.asyncDispose]();
});

/** Two speakers say an utterance each to a server that damages every one of them alike. */
async function reportOf(damage: Damage): Promise<ScenarioReport> {
  const server = await LossyServer.start(damage);
  owned.push(server);
  const trial = new Trial('planted', 7, () => undefined);
  const speakers = [0, 1].map(
    (index) => new Speaker({ index, speakers: 2, wordsPerUtterance: WORDS, paceMs: PACE_MS }),
  );
  trial.watch(speakers);
  const faultMs = trial.fault('damage');
  for (const speaker of speakers)
    speaker.start(({ onFrame }) => YapClient.connect({ url: server.url, onFrame }));
  await Promise.all(speakers.map((speaker) => speaker.finish()));
  trial.measurePauses(speakers, faultMs, 60_000);
  return trial.report();
}

describe('the chaos harness', () => {
  it('finds nothing where nothing was planted', async () => {
    const report = await reportOf({});
    expect(report).toMatchObject({ sessions: 2, failedSessions: 0, violations: [] });
    expect(report.words).toEqual({ sent: 120, lost: 0, doubled: 0, reordered: 0, foreign: 0 });
  });

  it('counts 7 lost, 3 doubled and 1 reordered word in each session exactly', async () => {
    const report = await reportOf({
      drop: [0, 5, 6, 7, 20, 41, 59],
      double: [3, 30, 58],
      delayByWords: new Map([[10, 4]]),
    });
    expect(report.words).toEqual({ sent: 120, lost: 14, doubled: 6, reordered: 2, foreign: 0 });
    expect(report.violations).toEqual(['every word once and in order, 22 were not']);
    expect(renderReports([report])).toMatch(/planted +1 +2 +0 +120 +14 +6 +2 +0 .* FAIL\n/);
  });

  it('measures a pause of 400 ms as one', async () => {
    const { pauses } = await reportOf({ hold: { place: 30, ms: 400 } });
    expect(pauses?.count).toBe(2);
    expect(pauses?.p50Ms).toBeGreaterThanOrEqual(400);
    expect(pauses?.maxMs).toBeLessThan(1_000);
  });

  it('measures that pause in words that come late, and not in others', async () => {
    const server = await LossyServer.start({ hold: { place: 30, ms: 400 } });
    owned.push(server);
    const speaker = new Speaker({
      index: 0,
      speakers: 1,
      wordsPerUtterance: WORDS,
      paceMs: PACE_MS,
    });
    speaker.start(({ onFrame }) => YapClient.connect({ url: server.url, onFrame }));
    await speaker.finish();
    const delays = wordDelays(speaker.utterances, 0);
    expect(delays).toHaveLength(WORDS);
    const late = delays.flatMap(({ delayMs }, place) => (delayMs > 150 ? [place] : []));
    expect(late[0]).toBe(30);
    // A word lasts 25 ms, so those of 250 ms at least wait for longer than 150 ms.
    expect(late.length).toBeGreaterThanOrEqual(8);
    expect(late.length).toBeLessThan(WORDS - 30);
  });

  it('tells a session that was cut off from one that was not', async () => {
    const server = await LossyServer.start({});
    const trial = new Trial('cut', 7, () => undefined);
    const speaker = new Speaker({ index: 0, speakers: 1, paceMs: PACE_MS });
    trial.watch([speaker]);
    speaker.start(({ onFrame }) => YapClient.connect({ url: server.url, onFrame }));
    await until(() => (speaker.utterances[0]?.heard.length ?? 0) > 3, 'words are heard');
    await server[Symbol.asyncDispose]();
    await speaker.finish();
    const report = trial.report();
    expect(report).toMatchObject({ sessions: 1, failedSessions: 1 });
    expect(report.violations).toContainEqual(
      expect.stringMatching(/^all sessions live, 1 did not: YapConnectionClosed/),
    );
  });

  it('repeats its random choices by their seed', () => {
    const row = (seed: number): number[] => Array.from({ length: 5 }, randomFrom(seed));
    expect(row(3)).toEqual(row(3));
    expect(row(3)).not.toEqual(row(4));
    for (const value of row(3)) expect(value >= 0 && value < 1).toBe(true);
  });

  it('reads its flags', () => {
    const known = ['a', 'b'];
    expect(readOptions(['--scenario', 'b', '--seed', '7', '--runs', '2', '--json'], known)).toEqual(
      {
        scenarios: ['b'],
        form: 'long',
        seed: 7,
        runs: 2,
        json: true,
        logFolder: undefined,
      },
    );
    expect(readOptions(['--help'], known)).toBeUndefined();
    expect(() => readOptions(['--scenario', 'b,x'], known)).toThrow('no scenario x: use a, b');
    for (const flag of ['--seed', '--runs'])
      expect(() => readOptions([`${flag}=1.5`], known)).toThrow(flag);
  });
});
