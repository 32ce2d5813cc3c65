import { until } from '../../support/until.ts';
import { API_KEY, type ChaosFleet } from '../chaos-fleet.ts';
import { Crowd } from '../crowd.ts';
import { FleetWatch } from '../fleet-watch.ts';
import { type Form, pause, type Scenario, type ScenarioRun } from '../scenario.ts';
import { countEach } from '../trial.ts';
import { Doorkeeper, type Visit, visit } from '../visitor.ts';

const VISITORS: Record<Form, number> = { short: 200, long: 1_000 };
/** Less than a lease lives after it was renewed, reconnecting included: else sessions rightly move. */
const REDIS_AWAY_MS: Record<Form, number> = { short: 1_500, long: 5_000 };
const CHURN_MS: Record<Form, number> = { short: 1_000, long: 10_000 };
/** Longer than it takes all of them to be answered. */
const BURST_HOLD_MS: Record<Form, number> = { short: 1_000, long: 3_000 };
/** As long as a client may ask to wait. */
const WAIT_S = 60;
const HOLD_MS = 300;
/** A slot that is free for longer than this must be had. */
const UNUSED_MS = 100;
/** Beside the TTL of a lease: a beat, a poll of the line, and a dial. */
const RECOVERY_SLACK_MS = 3_000;
const REBUILD_MS = 15_000;
const SPEAKERS = 8;

/** Many more dial than there are slots: never one too many inside, and no slot idle while somebody wants it. */
export const admission: Scenario = {
  id: 'b',
  title: 'admission',
  promise: 'as many sessions as slots, never more, whatever dies',
  shape: {
    short: { gateways: 2, workers: 4, slots: 10, leaseTtlS: 6 },
    long: { gateways: 3, workers: 4, slots: 16, leaseTtlS: 10 },
  },
  runs: { short: 1, long: 2 },
  async run(run) {
    for (let round = 0; round < run.runs; round++) {
      await rush(run);
      await burst(run);
      await churn(run);
      await gatewayDeath(run);
      await redisDeath(run, 'full');
      await redisDeath(run, 'empty');
    }
  },
};

/** All at once, all willing to wait. */
async function rush({ fleet, trial, form, random }: ScenarioRun): Promise<void> {
  const count = VISITORS[form];
  const door = new Doorkeeper();
  await using watch = new FleetWatch(fleet.view);
  const visits = await Promise.all(
    Array.from({ length: count }, (_, index) => {
      const holdMs = HOLD_MS * (0.5 + random());
      return visit({ url: urlOf(fleet, index), apiKey: API_KEY, waitS: WAIT_S, holdMs, door });
    }),
  );
  await watch.stop();
  trial.countSessions(count);
  const notServed = visits.filter(({ end }) => end !== 'served');
  trial.expect(notServed.length === 0, `all ${count} get in, not so: ${reasons(notServed)}`);
  expectExact({ fleet, trial }, watch, door, fleet.slots, 'rush');
  const saturated = watch.samples.filter(({ waiting }) => waiting > 0);
  trial.expect(saturated.length > 0, 'somebody waits in the rush');
  const idle = saturated.filter(({ leased, slots }) => leased < slots);
  trial.expect(
    idle.length === 0,
    `no slot is free while somebody waits; it was at ${idle.length} of ${saturated.length} looks`,
  );
  trial.note('rush: looks while saturated', saturated.length);
  trial.note('rush: admitted in s', (Math.max(...visits.map(admittedMs)) - first(visits)) / 1000);
}

/** All at once, and none is willing to wait: as many get in as there are slots. */
async function burst({ fleet, trial, form }: ScenarioRun): Promise<void> {
  const count = 3 * fleet.slots;
  const holdMs = BURST_HOLD_MS[form];
  const door = new Doorkeeper();
  const visits = await Promise.all(
    Array.from({ length: count }, (_, index) =>
      visit({ url: urlOf(fleet, index), apiKey: API_KEY, waitS: 0, holdMs, door }),
    ),
  );
  trial.countSessions(count);
  const got = reasons(visits);
  const expected = [
    `${fleet.slots} x served 1000`,
    `${count - fleet.slots} x refused server_at_capacity`,
  ];
  trial.expect(
    expected.every((part) => got.split(', ').includes(part)),
    `of ${count} at once: ${expected.join(', ')}; got ${got}`,
  );
}

/** As many as there are slots come again and again: nobody may be refused but for slots that have just been left. */
async function churn({ fleet, trial, form, random }: ScenarioRun): Promise<void> {
  const door = new Doorkeeper();
  await using watch = new FleetWatch(fleet.view);
  const endMs = performance.now() + CHURN_MS[form];
  const visits: Visit[] = [];
  const comeAgain = async (index: number): Promise<void> => {
    while (performance.now() < endMs) {
      const holdMs = HOLD_MS * (0.5 + random());
      const url = urlOf(fleet, Math.floor(random() * fleet.urls.length) + index);
      visits.push(await visit({ url, apiKey: API_KEY, waitS: 0, holdMs, door }));
      await pause(UNUSED_MS);
    }
  };
  await Promise.all(Array.from({ length: fleet.slots }, (_, index) => comeAgain(index)));
  // One look behind the last refusal.
  await pause(UNUSED_MS);
  await watch.stop();
  trial.countSessions(visits.length);
  const refused = visits.filter(({ end }) => end !== 'served');
  trial.note('churn: sessions', visits.length);
  trial.note('churn: refused', refused.length);
  const wrong = refused.filter(
    ({ end, dialedMs, overMs }) => end !== 'refused' || watch.hadFree(dialedMs - UNUSED_MS, overMs),
  );
  trial.expect(
    wrong.length === 0,
    `nobody is refused while a slot is free for ${UNUSED_MS} ms, but ${reasons(wrong)}`,
  );
}

/** The slots of a gateway that is gone are others' within the TTL of a lease. */
async function gatewayDeath({ fleet, trial, random }: ScenarioRun): Promise<void> {
  const door = new Doorkeeper();
  await using watch = new FleetWatch(fleet.view);
  const victim = Math.floor(random() * fleet.gateways.length);
  const survivors = fleet.urls.filter((_, index) => index !== victim);
  let isOver = false;
  const comeAgain = async (index: number): Promise<void> => {
    let url = urlOf(fleet, index);
    while (!isOver) {
      const { end } = await visit({ url, apiKey: API_KEY, waitS: WAIT_S, holdMs: HOLD_MS, door });
      if (end === 'cut') url = survivors[index % survivors.length] as URL;
    }
  };
  const visitors = Array.from({ length: 2 * fleet.slots }, (_, index) => comeAgain(index));
  try {
    await until(() => door.inside === fleet.slots, 'the fleet is full');
    const killedMs = trial.fault(`gateway ${victim} killed with the fleet full`);
    await fleet.gateways[victim]?.end('SIGKILL');
    const withinMs = fleet.shape.leaseTtlS * 1_000 + RECOVERY_SLACK_MS;
    await until(() => door.inside === fleet.slots, 'it is full again', withinMs);
    trial.note('full again after ms', performance.now() - killedMs);
  } finally {
    isOver = true;
    await Promise.all(visitors);
  }
  await watch.stop();
  expectExact({ fleet, trial }, watch, door, fleet.slots, 'gateway death');
  await fleet.gateways[victim]?.start();
}

/** Sessions that run do not notice; those that come meanwhile are told to come later; nothing is given away twice. */
async function redisDeath(
  { fleet, trial, form }: ScenarioRun,
  comesBack: 'full' | 'empty',
): Promise<void> {
  const crowd = await Crowd.start(fleet, { speakers: SPEAKERS });
  trial.watch(crowd.speakers);
  const { moves } = fleet;
  const faultMs = trial.fault(`redis away for ${REDIS_AWAY_MS[form]} ms, comes back ${comesBack}`);
  const door = new Doorkeeper();
  const back = fleet.interruptRedis(REDIS_AWAY_MS[form], comesBack);
  await pause(REDIS_AWAY_MS[form] / 2);
  const options = { apiKey: API_KEY, waitS: 0, holdMs: HOLD_MS, door };
  const early = await visit({ ...options, url: urlOf(fleet, 0) });
  trial.expect(
    early.reason === 'fleet_unavailable',
    `without Redis a newcomer is told fleet_unavailable, not ${early.reason}`,
  );
  await back;
  await fleet.untilSlots(fleet.slots, REBUILD_MS);
  await until(
    async () => (await fleet.view.sample()).leased === SPEAKERS,
    `the ${SPEAKERS} sessions have their slots again`,
    REBUILD_MS,
  );
  await fleet.untilReady(REBUILD_MS);
  trial.note(`redis back ${comesBack}: rebuilt after ms`, performance.now() - faultMs);
  await using watch = new FleetWatch(fleet.view);
  const visits = await Promise.all(
    Array.from({ length: 2 * fleet.slots }, (_, index) =>
      visit({ ...options, url: urlOf(fleet, index), waitS: WAIT_S }),
    ),
  );
  await watch.stop();
  trial.countSessions(visits.length);
  const notServed = visits.filter(({ end }) => end !== 'served');
  trial.expect(notServed.length === 0, `all get in again, not so: ${reasons(notServed)}`);
  expectExact({ fleet, trial }, watch, door, fleet.slots - SPEAKERS, `redis back ${comesBack}`);
  await crowd.stop();
  trial.expect(
    fleet.moves === moves,
    `redis back ${comesBack}: sessions stay where they are, but ${fleet.moves - moves} moved`,
  );
}

/** By what the visitors saw themselves, and by the books. `room`: slots that visitors may have. */
function expectExact(
  { fleet, trial }: Pick<ScenarioRun, 'fleet' | 'trial'>,
  watch: FleetWatch,
  door: Doorkeeper,
  room: number,
  when: string,
): void {
  trial.expect(
    door.mostInside <= room,
    `${when}: at most ${room} inside, there were ${door.mostInside}`,
  );
  const most = Math.max(...watch.samples.map(({ leased }) => leased));
  trial.expect(most <= fleet.slots, `${when}: at most ${fleet.slots} leases, there were ${most}`);
}

function urlOf(fleet: ChaosFleet, index: number): URL {
  return fleet.urls[index % fleet.urls.length] as URL;
}

function first(visits: readonly Visit[]): number {
  return Math.min(...visits.map(({ dialedMs }) => dialedMs));
}

function admittedMs(one: Visit): number {
  return one.admittedMs ?? one.overMs;
}

/** How often each, such as `3 x refused at_capacity`. */
function reasons(visits: readonly Visit[]): string {
  const counts = countEach(visits.map(({ end, reason }) => `${end} ${reason}`));
  return [...counts].map(([key, count]) => `${count} x ${key}`).join(', ');
}
