import { z } from 'zod';
import { countArrivals, type Phase, secondsOf } from './schedule.ts';

export const MAX_SESSIONS = 1_000_000;
const MAX_SECONDS = 86_400;
const MAX_PHASES = 32;
const MAX_RATE = 10_000;

const rate = z.number().min(0).max(MAX_RATE);
/** Becomes the value of a label. */
const name = z.string().regex(/^[a-z0-9][a-z0-9-]{0,62}$/, {
  error: 'must be lower-case letters, digits and hyphens, 63 at the most',
});

const PhaseSchema = z.strictObject({
  name,
  seconds: z.number().positive().max(MAX_SECONDS),
  sessionsPerSecond: rate,
  rampTo: rate.optional(),
});

/** What a load test does: the form of `--scenario` files. */
export const Scenario = z
  .strictObject({
    name,
    phases: z.array(PhaseSchema).min(1).max(MAX_PHASES),
    /** How many a session speaks; `until-end`: as many as fit before the end of the last phase. */
    utterances: z
      .union([z.int().min(1).max(10_000), z.literal('until-end')], {
        error: 'must be a whole number from 1 to 10000, or "until-end"',
      })
      .default(1),
    /** Silence between two utterances of a session. */
    thinkSeconds: z.number().min(0).max(3_600).default(0),
  })
  .superRefine(({ phases }, context) => {
    const refuse = (message: string): void => {
      context.addIssue({ code: 'custom', path: ['phases'], message });
    };
    const names = phases.map((phase) => phase.name);
    if (new Set(names).size < names.length) refuse('must have names of their own');
    if (secondsOf(phases) > MAX_SECONDS) refuse(`must not last more than ${MAX_SECONDS} s in all`);
    const sessions = countArrivals(phases);
    if (sessions === 0) refuse('begin no session at all');
    if (sessions > MAX_SESSIONS) refuse(`begin ${sessions} sessions, more than ${MAX_SESSIONS}`);
  });
export type Scenario = z.infer<typeof Scenario>;

/** What is wrong with a scenario, a line for each fault. */
export class ScenarioFault extends Error {
  override readonly name = 'ScenarioFault';
}

/** Throws ScenarioFault, which names `source`. */
export function parseScenario(text: string, source: string): Scenario {
  let json: unknown;
  try {
    json = JSON.parse(text);
  } catch (cause) {
    throw new ScenarioFault(`${source} is not JSON: ${(cause as Error).message}`, { cause });
  }
  return checkScenario(json, source);
}

/** Throws ScenarioFault, which names `source`. */
export function checkScenario(value: unknown, source: string): Scenario {
  const parsed = Scenario.safeParse(value);
  if (parsed.success) return parsed.data;
  const faults = parsed.error.issues.map(
    ({ path, message }) => `  ${path.length > 0 ? `${pathText(path)}: ` : ''}${message}`,
  );
  throw new ScenarioFault(`${source} is not a scenario:\n${faults.join('\n')}`);
}

/** `phases[0].seconds` */
function pathText(path: readonly PropertyKey[]): string {
  return path.reduce<string>((text, part) => {
    if (typeof part === 'number') return `${text}[${part}]`;
    return text === '' ? String(part) : `${text}.${String(part)}`;
  }, '');
}

/** So many sessions a second, reached evenly in the first `rampS`. */
export function rateLoad(perSecond: number, rampS: number, holdS: number): Phase[] {
  const ramp = { name: 'ramp', seconds: rampS, sessionsPerSecond: 0, rampTo: perSecond };
  return lasting([ramp, { name: 'hold', seconds: holdS, sessionsPerSecond: perSecond }]);
}

/** So many sessions, which begin evenly in the first `rampS` and stay. */
export function heldLoad(sessions: number, rampS: number, holdS: number): Phase[] {
  const ramp = { name: 'ramp', seconds: rampS, sessionsPerSecond: sessions / rampS };
  return lasting([ramp, { name: 'hold', seconds: holdS, sessionsPerSecond: 0 }]);
}

function lasting(phases: readonly Phase[]): Phase[] {
  return phases.filter(({ seconds }) => seconds > 0);
}
