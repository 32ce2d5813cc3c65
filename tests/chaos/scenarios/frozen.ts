import { Crowd } from '../crowd.ts';
import { pause, pick, type Scenario, type ScenarioRun } from '../scenario.ts';

const SPEAKERS = 12;
/** A silent worker is given up after 3 s. The rest is the way to another one, on a busy machine. */
const FROZEN_MS = 10_000;
/** A worker tries its engine several times; a session without a worker for longer than this would be told so. */
const HUNG_MS = 30_000;
const AFTER_MS = 1_000;

/** Processes that live and do nothing: harder to notice than dead ones. */
export const frozen: Scenario = {
  id: 'h',
  title: 'frozen and hung',
  promise: 'frozen workers and hung engines cost a pause and no word',
  shape: {
    short: { gateways: 2, workers: 4, slots: 10, leaseTtlS: 6 },
    long: { gateways: 2, workers: 4, slots: 10, leaseTtlS: 10 },
  },
  runs: { short: 1, long: 4 },
  async run(run) {
    const { form } = run;
    const crowd = await Crowd.start(run.fleet, { speakers: SPEAKERS });
    run.trial.watch(crowd.speakers);
    for (let round = 0; round < run.runs; round++) {
      await freezeWorker(run, crowd);
      // A worker tries its engine again for longer than other tests should wait.
      if (form === 'long') await hangEngine(run, crowd);
    }
    await crowd.stop();
  },
};

async function freezeWorker({ fleet, trial, random }: ScenarioRun, crowd: Crowd): Promise<void> {
  const worker = await held(fleet, random);
  const affected = await crowd.on(fleet, worker);
  const faultMs = trial.fault(`worker ${worker} frozen with ${affected.length} sessions`);
  fleet.workers[worker]?.process.child.kill('SIGSTOP');
  await crowd.untilHeard(affected, faultMs + 1_000, FROZEN_MS);
  trial.note('frozen: heard again after ms', performance.now() - faultMs);
  // It wakes up and finds its sessions elsewhere; nothing that it still says may be heard.
  fleet.workers[worker]?.process.child.kill('SIGCONT');
  await fleet.untilSlots(fleet.slots);
  await pause(AFTER_MS);
  trial.measurePauses(affected, faultMs, FROZEN_MS);
}

async function hangEngine({ fleet, trial, random }: ScenarioRun, crowd: Crowd): Promise<void> {
  const worker = await held(fleet, random);
  const affected = await crowd.on(fleet, worker);
  const faultMs = trial.fault(`engine of worker ${worker} hung with ${affected.length} sessions`);
  fleet.tellVllm(worker, 'hang');
  await crowd.untilHeard(affected, faultMs + 1_000, HUNG_MS);
  trial.note('hung: heard again after ms', performance.now() - faultMs);
  fleet.tellVllm(worker, 'resume');
  await fleet.untilSlots(fleet.slots);
  await pause(AFTER_MS);
  trial.measurePauses(affected, faultMs, HUNG_MS);
}

/** A worker that has sessions. */
async function held(fleet: ScenarioRun['fleet'], random: ScenarioRun['random']): Promise<number> {
  const sessions = [...(await fleet.sessionsByWorker())].filter(([, ids]) => ids.length > 0);
  return pick(random, sessions)[0];
}
