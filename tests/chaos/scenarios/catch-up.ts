import { percentile } from '@voice-fleet/client/stats';
import { Crowd } from '../crowd.ts';
import { quantiles, wordDelays } from '../pauses.ts';
import { type Form, pause, type Scenario } from '../scenario.ts';
import type { Speaker } from '../speaker.ts';

const SPEAKERS: Record<Form, number> = { short: 20, long: 64 };
const WORDS = 6;
/** Before the fault, and after it. */
const WATCH_MS: Record<Form, number> = { short: 3_000, long: 15_000 };
/** Back at real time: words come no later than this behind what was usual before. */
const LATE_MS = 500;
const CAUGHT_UP_MS = 10_000;
const SLOWER = 1.2;
const PAUSE_WINDOW_MS = 10_000;

/** Half of the workers die at once: those left take all, catch up, and do not let their own sessions wait for it. */
export const catchUp: Scenario = {
  id: 'g',
  title: 'two of four killed',
  promise: 'half of the workers die, the rest catch up',
  shape: {
    short: { gateways: 2, workers: 4, slots: 10, leaseTtlS: 6 },
    long: { gateways: 2, workers: 4, slots: 32, leaseTtlS: 10 },
  },
  runs: { short: 1, long: 3 },
  async run({ fleet, trial, form, runs }) {
    for (let run = 0; run < runs; run++) {
      const crowd = await Crowd.start(fleet, {
        speakers: SPEAKERS[form],
        wordsPerUtterance: WORDS,
      });
      trial.watch(crowd.speakers);
      const startedMs = performance.now();
      await pause(WATCH_MS[form]);
      const moved = [...(await crowd.on(fleet, 0)), ...(await crowd.on(fleet, 1))];
      const unmoved = crowd.speakers.filter((speaker) => !moved.includes(speaker));
      const faultMs = trial.fault(`workers 0 and 1 killed with ${moved.length} sessions`);
      await Promise.all([fleet.workers[0]?.end('SIGKILL'), fleet.workers[1]?.end('SIGKILL')]);
      await pause(WATCH_MS[form]);
      await crowd.stop();
      trial.measurePauses(moved, faultMs, PAUSE_WINDOW_MS);

      const before = quantiles(firstTexts(unmoved, startedMs, faultMs));
      const after = quantiles(firstTexts(unmoved, faultMs, Number.POSITIVE_INFINITY));
      trial.note('first text P95 of the others before ms', before?.p95Ms ?? '-');
      trial.note('after ms', after?.p95Ms ?? '-');
      const usualMs = percentile(delaysOf(crowd.speakers, startedMs, faultMs), 0.5) ?? 0;
      const caughtUpMs = Math.max(0, ...moved.map((one) => lastLateMs(one, faultMs, usualMs)));
      trial.note('all at real time after ms', caughtUpMs);
      const latestMs = Math.max(
        0,
        ...delaysOf(moved, faultMs - CAUGHT_UP_MS, faultMs + WATCH_MS[form]),
      );
      trial.note('latest word behind its audio ms', latestMs);
      trial.note('usual ms', usualMs);
      trial.expect(
        caughtUpMs <= CAUGHT_UP_MS,
        `moved sessions are at real time within ${CAUGHT_UP_MS} ms, not ${caughtUpMs.toFixed(0)}`,
      );
      if (form === 'long' && before && after)
        trial.expect(
          after.p95Ms <= SLOWER * before.p95Ms,
          `the others' first text P95 grows by less than 20 %: ${before.p95Ms.toFixed(0)} to ${after.p95Ms.toFixed(0)} ms`,
        );
      await fleet.workers[0]?.start();
      await fleet.workers[1]?.start();
      await fleet.untilSlots(fleet.slots);
    }
  },
};

/** From the first audio to the first text, of utterances begun in the time span. */
function firstTexts(speakers: readonly Speaker[], fromMs: number, toMs: number): number[] {
  return speakers.flatMap(({ utterances }) =>
    utterances.flatMap(({ startedMs, heard }) => {
      const text = heard[0];
      if (text === undefined || startedMs < fromMs) return [];
      return text.atMs <= toMs ? [text.atMs - startedMs] : [];
    }),
  );
}

function delaysOf(speakers: readonly Speaker[], fromMs: number, toMs: number): number[] {
  return speakers
    .flatMap(({ utterances }) => wordDelays(utterances, fromMs))
    .filter(({ saidMs }) => saidMs < toMs)
    .map(({ delayMs }) => delayMs);
}

/** When the last late word came, after the fault; 0 if none was late. */
function lastLateMs({ utterances }: Speaker, faultMs: number, usualMs: number): number {
  const late = wordDelays(utterances, faultMs - CAUGHT_UP_MS).filter(
    ({ saidMs, delayMs }) => saidMs + delayMs > faultMs && delayMs > usualMs + LATE_MS,
  );
  return Math.max(0, ...late.map(({ saidMs, delayMs }) => saidMs + delayMs - faultMs));
}
