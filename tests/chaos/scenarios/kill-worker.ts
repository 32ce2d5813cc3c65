import { Crowd } from '../crowd.ts';
import { type Form, pause, pick, type Scenario } from '../scenario.ts';

const SESSIONS = 20;
/** Before each fault: in the long form more than the 10 s of audio after which an earlier one no longer counts. */
const QUIET_MS: Record<Form, number> = { short: 0, long: 10_000 };
/** A fault comes at any moment within this time after it. */
const RANDOM_MS = 1_000;
const BACK_MS = 20_000;
const PAUSE_WINDOW_MS = 8_000;

/** A worker dies amid live sessions: sockets stay open, no word is lost, and the pause is short. */
export const killWorker: Scenario = {
  id: 'a',
  title: 'worker killed',
  promise: 'a killed worker costs a pause and no word',
  shape: {
    short: { gateways: 2, workers: 4, slots: 10, leaseTtlS: 6 },
    long: { gateways: 2, workers: 4, slots: 10, leaseTtlS: 10 },
  },
  runs: { short: 2, long: 10 },
  async run({ fleet, trial, form, runs, random }) {
    const crowd = await Crowd.start(fleet, { speakers: SESSIONS });
    trial.watch(crowd.speakers);
    for (let run = 0; run < runs; run++) {
      await pause(QUIET_MS[form] + random() * RANDOM_MS);
      const held = await fleet.sessionsByWorker();
      const worker = pick(
        random,
        [...held].filter(([, sessions]) => sessions.length > 0).map(([index]) => index),
      );
      const affected = await crowd.on(fleet, worker);
      const faultMs = trial.fault(`worker ${worker} killed with ${affected.length} sessions`);
      await fleet.workers[worker]?.end('SIGKILL');
      await crowd.untilHeard(affected, faultMs + 1_000, BACK_MS);
      trial.measurePauses(affected, faultMs, PAUSE_WINDOW_MS);
      await fleet.workers[worker]?.start();
      await fleet.untilSlots(fleet.slots);
    }
    await crowd.stop();
    if (form === 'long') trial.expectPauses({ p95Ms: 1_500, maxMs: 4_000 });
  },
};
