import { Crowd, resumable } from '../crowd.ts';
import { type Form, pause, type Scenario } from '../scenario.ts';

const SPEAKERS: Record<Form, number> = { short: 16, long: 64 };
const WORDS = 10;
const WORKER_EXIT_MS = 30_000;
/** SHUTDOWN_TIMEOUT_S of the gateway. */
const GATEWAY_EXIT_MS = 15_000;
const SETTLE_MS = 300;
const PAUSE_WINDOW_MS = 10_000;

/** Every process is replaced in turn, as an upgrade does it, under people who speak. */
export const rollingRestart: Scenario = {
  id: 'c',
  title: 'rolling restart',
  promise: 'every process is replaced under speakers, and nobody notices',
  shape: {
    short: { gateways: 2, workers: 4, slots: 10, leaseTtlS: 6 },
    long: { gateways: 3, workers: 4, slots: 32, leaseTtlS: 10 },
  },
  runs: { short: 1, long: 3 },
  async run({ fleet, trial, form, runs }) {
    const crowd = await Crowd.start(fleet, {
      speakers: SPEAKERS[form],
      wordsPerUtterance: WORDS,
      dialer: resumable(fleet.urls),
    });
    trial.watch(crowd.speakers);
    const all = [
      ...fleet.workers.map((seat, index) => ({ seat, name: `worker ${index}`, kind: 'worker' })),
      ...fleet.gateways.map((seat, index) => ({ seat, name: `gateway ${index}`, kind: 'gateway' })),
    ];
    const slowest: Record<string, number> = { worker: 0, gateway: 0 };
    for (let run = 0; run < runs; run++) {
      for (const { seat, name, kind } of all) {
        const limitMs = kind === 'worker' ? WORKER_EXIT_MS : GATEWAY_EXIT_MS;
        const faultMs = trial.fault(`${name} replaced`);
        const { code, tookMs } = await seat.end('SIGTERM');
        trial.expect(code === 0, `${name} exits with 0, not ${code}`);
        trial.expect(tookMs <= limitMs, `${name} exits in ${limitMs} ms, not ${tookMs.toFixed(0)}`);
        slowest[kind] = Math.max(slowest[kind] ?? 0, tookMs);
        await seat.start();
        await fleet.untilSlots(fleet.slots);
        await pause(SETTLE_MS);
        trial.measurePauses(crowd.speakers, faultMs, PAUSE_WINDOW_MS);
      }
    }
    for (const [kind, tookMs] of Object.entries(slowest))
      trial.note(`slowest ${kind} exit ms`, tookMs);
    await crowd.stop();
    trial.note('resumes', crowd.resumes);
    trial.expect(crowd.resumes > 0, 'sessions were resumed');
  },
};
