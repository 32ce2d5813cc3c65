import { closedPools, PLACEMENT_POLICIES, type PoolWeights } from '@voice-fleet/fleet/lease';
import { enumVar, textVar } from '@voice-fleet/runtime/env';
import { z } from 'zod';

const MAX_WEIGHT = 1_000_000;
/** Each placement looks at all that have room. */
const MAX_POOLS = 100;
const Weights = z
  .record(z.string().regex(/^[a-z0-9-]{1,40}$/), z.int().min(0).max(MAX_WEIGHT))
  .refine((weights) => Object.keys(weights).length <= MAX_POOLS);

const WEIGHTS_DOC =
  'Parts of the sessions that pools get, by those of others: {"stable": 95, "canary": 5}. A pool that is not named has 1. Each session goes to the pool that has the fewest for its weight, of those with a free slot for it: full pools are passed over, and nobody waits for them. A pool of weight 0 gets no new session, even if all others are full or gone; one that moves goes there if it cannot stay and no other pool has a slot. {}: pools do not matter.';

/** Variables of where sessions are placed. */
export const placementEnv = {
  FLEET_PLACEMENT: enumVar(PLACEMENT_POLICIES, {
    default: 'packing',
    doc: 'packing fills the fullest worker first, spread the emptiest, ordinal that of the lowest WORKER_ORDINAL: where the highest are removed first, as of a StatefulSet.',
  }),
  FLEET_POOL_WEIGHTS: textVar({ default: '{}', doc: WEIGHTS_DOC })
    .transform((text, context): PoolWeights => {
      try {
        return new Map(Object.entries(Weights.parse(JSON.parse(text))));
      } catch {
        const message = `must be a JSON object of at most ${MAX_POOLS} pools with whole numbers from 0 to ${MAX_WEIGHT}, such as {"stable": 95, "canary": 5}`;
        context.addIssue({ code: 'custom', message });
        return z.NEVER;
      }
    })
    .meta({ doc: WEIGHTS_DOC, type: 'JSON', default: '{}' }),
};

type PlacementEnv = {
  readonly [Name in keyof typeof placementEnv]: z.infer<(typeof placementEnv)[Name]>;
};

export type PlacementSettings = ReturnType<typeof placementSettings>;

export function placementSettings(env: PlacementEnv) {
  const weights = env.FLEET_POOL_WEIGHTS;
  return { policy: env.FLEET_PLACEMENT, weights, closedPools: closedPools(weights) };
}
