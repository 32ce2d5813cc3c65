import { numberVar, textVar } from '@voice-fleet/runtime/env';
import { z } from 'zod';

const Pool = z.string().regex(/^[a-z0-9-]{1,40}$/);
const MAX_POOLS = 100;
const Warmups = z
  .record(Pool, z.number().min(0).max(3600))
  .refine((warmups) => Object.keys(warmups).length <= MAX_POOLS);

const POOLS_DOC =
  'Pools of the fleet, separated by commas: their demand is told even when they have no worker, so that they can be scaled from none.';
const WARMUPS_DOC = 'The same for single pools: {"h100": 420}.';

/** Variables of the demand that autoscalers read. */
export const demandEnv = {
  FLEET_POOLS: textVar({ default: '', doc: POOLS_DOC })
    .transform((text, context): readonly string[] => {
      const names = text.split(',').flatMap((name) => name.trim() || []);
      if (names.length <= MAX_POOLS && names.every((name) => Pool.safeParse(name).success))
        return [...new Set(names)];
      const message = `must be at most ${MAX_POOLS} names of pools, separated by commas`;
      context.addIssue({ code: 'custom', message });
      return z.NEVER;
    })
    .meta({ doc: POOLS_DOC, type: 'list', default: '' }),
  FLEET_WARMUP_S: numberVar({
    default: 300,
    min: 0,
    max: 3600,
    doc: 'From the wish for another worker until it takes sessions: start of its pod, loading of its model, and a minute for those who pass the wish on. Demand is told for so far ahead.',
  }),
  FLEET_POOL_WARMUP_S: textVar({ default: '{}', doc: WARMUPS_DOC })
    .transform((text, context): ReadonlyMap<string, number> => {
      try {
        return new Map(Object.entries(Warmups.parse(JSON.parse(text))));
      } catch {
        const message = `must be a JSON object of at most ${MAX_POOLS} pools and numbers 0..3600`;
        context.addIssue({ code: 'custom', message });
        return z.NEVER;
      }
    })
    .meta({ doc: WARMUPS_DOC, type: 'JSON', default: '{}' }),
};

type DemandEnv = { readonly [Name in keyof typeof demandEnv]: z.infer<(typeof demandEnv)[Name]> };

export interface DemandSettings {
  readonly pools: readonly string[];
  readonly warmupMs: (pool: string) => number;
}

export function demandSettings(env: DemandEnv): DemandSettings {
  const { FLEET_POOLS: pools, FLEET_WARMUP_S: warmupS, FLEET_POOL_WARMUP_S: own } = env;
  return { pools, warmupMs: (pool) => (own.get(pool) ?? warmupS) * 1000 };
}
