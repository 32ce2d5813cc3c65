import { until } from '../../support/until.ts';
import { Crowd, resumable } from '../crowd.ts';
import { type Form, pause, pick, type Scenario, type ScenarioRun } from '../scenario.ts';
import { usage } from '../usage.ts';
import { WeakNetwork } from '../weak-network.ts';

const SPEAKERS: Record<Form, number> = { short: 20, long: 200 };
const WORDS = 8;
const REDIS_FROZEN_MS = 1_500;
/** Long enough for frames with words to be lost. */
const MUTE_MS = 700;
const BETWEEN_MS: Record<Form, number> = { short: 1_000, long: 3_000 };
const PAUSE_WINDOW_MS = 10_000;
const BOOKED_MS = 10_000;
/** Longer than gateways wait between two bookings. */
const LATE_MS = 1_500;

const FAULTS = ['gateway', 'worker', 'network', 'redis'] as const;

/** Gateways, workers, networks and Redis fail under resumable sessions: what is billed is what clients were told was taken. */
export const billing: Scenario = {
  id: 'e',
  title: 'billing',
  promise: 'what is billed is what clients were told was taken',
  shape: {
    short: { gateways: 2, workers: 4, slots: 10, leaseTtlS: 6 },
    long: { gateways: 3, workers: 4, slots: 80, leaseTtlS: 10 },
  },
  runs: { short: 4, long: 12 },
  async run({ fleet, trial, form, runs, random }) {
    const before = await usage(fleet);
    await using network = await WeakNetwork.before(fleet.urls);
    const crowd = await Crowd.start(fleet, {
      speakers: SPEAKERS[form],
      wordsPerUtterance: WORDS,
      dialer: resumable(network.urls),
    });
    trial.watch(crowd.speakers);
    for (let run = 0; run < runs; run++) {
      await pause(BETWEEN_MS[form] * (0.5 + random()));
      const kind = FAULTS[run % FAULTS.length] ?? 'worker';
      const faultMs = await strike(kind, { fleet, trial, random, network });
      await fleet.untilSlots(fleet.slots);
      trial.measurePauses(crowd.speakers, faultMs, PAUSE_WINDOW_MS);
    }
    await crowd.stop();
    const sum = (count: (speaker: (typeof crowd.speakers)[number]) => number): number =>
      crowd.speakers.reduce((total, speaker) => total + count(speaker), 0);
    const sent = sum(({ sentSamples }) => sentSamples);
    const acked = sum(({ acceptedSamples }) => acceptedSamples);
    let billed = 0;
    await until(
      async () => {
        billed = (await usage(fleet)).samples - before.samples;
        return billed >= acked;
      },
      'all is booked',
      BOOKED_MS,
    ).catch(() => undefined);
    // What is booked late would be booked too much.
    await pause(LATE_MS);
    billed = (await usage(fleet)).samples - before.samples;
    trial.note('resumes', crowd.resumes);
    trial.expect(crowd.resumes > 0, 'sessions were resumed');
    trial.note('samples sent', sent);
    trial.note('samples acked', acked);
    trial.note('samples billed', billed);
    trial.expect(billed === acked, `billed less acked is 0, not ${billed - acked}`);
    trial.expect(acked === sent, `acked less sent is 0, not ${acked - sent}`);
    const sessions = (await usage(fleet)).sessions - before.sessions;
    trial.expect(
      sessions === crowd.speakers.length,
      `${crowd.speakers.length} sessions are booked, not ${sessions}`,
    );
  },
};

/** Does it and mends it; returns when it was done. */
async function strike(
  kind: (typeof FAULTS)[number],
  {
    fleet,
    trial,
    random,
    network,
  }: Pick<ScenarioRun, 'fleet' | 'trial' | 'random'> & { network: WeakNetwork },
): Promise<number> {
  if (kind === 'network') {
    const faultMs = trial.fault(`every connection mute for ${MUTE_MS} ms, then lost`);
    await network.fail(MUTE_MS);
    return faultMs;
  }
  if (kind === 'redis') {
    const faultMs = trial.fault(`redis frozen for ${REDIS_FROZEN_MS} ms`);
    fleet.redis.freeze();
    await pause(REDIS_FROZEN_MS);
    fleet.redis.thaw();
    return faultMs;
  }
  const seats = kind === 'gateway' ? fleet.gateways : fleet.workers;
  const index = pick(random, [...seats.keys()]);
  const faultMs = trial.fault(`${kind} ${index} killed`);
  await seats[index]?.end('SIGKILL');
  await seats[index]?.start();
  return faultMs;
}
