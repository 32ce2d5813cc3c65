import { Crowd } from '../crowd.ts';
import { pause, type Scenario } from '../scenario.ts';

const EXIT_MS = 30_000;
const PAUSE_WINDOW_MS = 10_000;
const AFTER_MS = 1_000;

/** A worker full of endless sessions is told to go: it goes soon, and nobody notices. */
export const drainWorker: Scenario = {
  id: 'f',
  title: 'worker drained',
  promise: 'a worker with endless sessions goes soon and loses no word',
  shape: {
    short: { gateways: 2, workers: 4, slots: 10, leaseTtlS: 6 },
    long: { gateways: 2, workers: 2, slots: 50, leaseTtlS: 10 },
  },
  runs: { short: 1, long: 2 },
  async run({ fleet, trial, runs }) {
    const others = fleet.workers.slice(1);
    for (let run = 0; run < runs; run++) {
      // Only the one to go is there at first, so that it holds them all.
      await Promise.all(others.map((seat) => seat.end('SIGTERM')));
      await fleet.untilSlots(fleet.shape.slots);
      const crowd = await Crowd.start(fleet, { speakers: fleet.shape.slots });
      trial.watch(crowd.speakers);
      for (const seat of others) await seat.start();
      await fleet.untilSlots(fleet.slots);
      const faultMs = trial.fault(`worker 0 told to go with ${fleet.shape.slots} sessions`);
      const ended = await fleet.workers[0]?.end('SIGTERM');
      trial.note(`exit after ms, run ${run + 1}`, ended?.tookMs ?? '-');
      trial.expect(ended?.code === 0, `the worker exits with 0, not ${ended?.code}`);
      trial.expect((ended?.tookMs ?? 0) <= EXIT_MS, `it exits within ${EXIT_MS} ms`);
      await pause(AFTER_MS);
      await crowd.stop();
      trial.measurePauses(crowd.speakers, faultMs, PAUSE_WINDOW_MS);
      await fleet.workers[0]?.start();
    }
  },
};
