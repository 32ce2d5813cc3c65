import { TenantStore } from '@voice-fleet/fleet/tenants/tenant-store';
import { Redis } from 'ioredis';
import { until } from '../../support/until.ts';
import { API_KEY } from '../chaos-fleet.ts';
import { type Form, pause, type Scenario } from '../scenario.ts';
import { Doorkeeper, visit } from '../visitor.ts';

/** Slots that the two tenants compete for; the others are held all the time. */
const CONTESTED = 6;
const MANY = 200;
const FEW = 5;
const HOLD_MS = 150;
const WAIT_S = 60;
const MEASURE_MS: Record<Form, number> = { short: 3_000, long: 20_000 };
/** Half of the grants is its due; the rest is for the time that its visitors need to come again. */
const LEAST_SHARE = 0.45;

interface Party {
  readonly name: string;
  readonly key: string;
  waiting: number;
  granted: number;
}

/** Two tenants of equal weight wait for slots, one with forty times as many: each gets its half. */
export const fairness: Scenario = {
  id: 'd',
  title: 'fair line',
  promise: 'a small tenant gets its share beside a large one',
  shape: {
    short: { gateways: 2, workers: 4, slots: 10, leaseTtlS: 6 },
    long: { gateways: 3, workers: 4, slots: 16, leaseTtlS: 10 },
  },
  runs: { short: 1, long: 1 },
  async run({ fleet, trial, form }) {
    const [many, few] = await makeTenants(fleet.redis.url);
    const door = new Doorkeeper();
    let isOver = false;
    const url = (index: number): URL => fleet.urls[index % fleet.urls.length] as URL;
    const heldMs = MEASURE_MS[form] + 3_000;
    const holders = Array.from({ length: fleet.slots - CONTESTED }, (_, index) =>
      visit({ url: url(index), apiKey: API_KEY, waitS: 0, holdMs: heldMs, door }),
    );
    await until(() => door.inside === holders.length, 'all other slots are held');
    let counted = 0;
    let fewCounted = 0;
    const comeAgain = async (party: Party, other: Party, index: number): Promise<void> => {
      while (!isOver) {
        party.waiting += 1;
        let admitted = false;
        const onAdmitted = (): void => {
          admitted = true;
          party.waiting -= 1;
          party.granted += 1;
          // Only grants for which both stood in line say anything.
          if (other.waiting === 0) return;
          counted += 1;
          if (party === few) fewCounted += 1;
        };
        const options = { url: url(index), apiKey: party.key, waitS: WAIT_S, holdMs: HOLD_MS };
        const { end, reason } = await visit({ ...options, door, onAdmitted });
        if (!admitted) party.waiting -= 1;
        if (end === 'served') continue;
        trial.expect(false, `${party.name} is served, not ${end} ${reason}`);
        return;
      }
    };
    const visitors = [
      ...Array.from({ length: MANY }, (_, index) => comeAgain(many, few, index)),
      ...Array.from({ length: FEW }, (_, index) => comeAgain(few, many, index)),
    ];
    await pause(1_000);
    counted = 0;
    fewCounted = 0;
    await pause(MEASURE_MS[form]);
    const share = fewCounted / counted;
    trial.note('grants', counted);
    trial.note('share of the small one %', 100 * share);
    trial.expect(counted >= 50, `there are grants to judge by: ${counted}`);
    trial.expect(
      share >= LEAST_SHARE,
      `the small one gets ${100 * LEAST_SHARE} % of the grants, not ${(100 * share).toFixed(1)} %`,
    );
    isOver = true;
    await Promise.all([...visitors, ...holders]);
    trial.countSessions(many.granted + few.granted + holders.length);
  },
};

/** Both new, with a key for each. */
async function makeTenants(redisUrl: string): Promise<[Party, Party]> {
  const redis = new Redis(redisUrl);
  try {
    const store = new TenantStore(redis);
    const make = async (name: string): Promise<Party> => {
      // A fleet may see this scenario twice.
      const id = `${name}-${Date.now().toString(36)}`;
      await store.createTenant(id);
      const { secret: key } = await store.createKey(id);
      return { name, key, waiting: 0, granted: 0 };
    };
    return [await make('large'), await make('small')];
  } finally {
    redis.disconnect();
  }
}
