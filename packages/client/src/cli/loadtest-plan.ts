import { readFile } from 'node:fs/promises';
import { basename } from 'node:path';
import { type LoadRecording, loadRecordingOf } from '../load/load-session.ts';
import {
  checkScenario,
  heldLoad,
  parseScenario,
  rateLoad,
  type Scenario,
  ScenarioFault,
} from '../load/scenario.ts';
import {
  type CliIo,
  loadShipped,
  positive,
  positiveInteger,
  seconds,
  UsageError,
} from './flags.ts';

export const PLAN = {
  rate: { type: 'string' },
  duration: { type: 'string' },
  sessions: { type: 'string' },
  ramp: { type: 'string' },
  hold: { type: 'string' },
  scenario: { type: 'string' },
  name: { type: 'string' },
  utterances: { type: 'string' },
  'think-time': { type: 'string' },
} as const;

export const PLAN_HELP = `Load, one of:
  --rate R             so many new sessions a second, whatever becomes of those before
  --sessions N         so many sessions that stay, and speak again and again
  --scenario FILE      JSON: {"name", "phases": [{"name", "seconds", "sessionsPerSecond",
                       "rampTo"?}], "utterances"?, "thinkSeconds"?}

  --ramp SECONDS       in which a rate is reached, or the sessions begin, evenly (default 0 for
                       a rate, N/10 for sessions)
  --hold SECONDS       after the ramp, or
  --duration SECONDS   ramp and hold together

  --utterances N       how many a session speaks (default 1; with --sessions until the end)
  --think-time SECONDS silence between two utterances of a session (default 0)
  --name NAME          of the scenario: the label of its metrics (default "load")`;

type Flag = keyof typeof PLAN;
type PlanFlags = Readonly<Partial<Record<Flag, string | undefined>>>;

/** What is to be done; wrong flags and a wrong file are UsageErrors. */
export async function planOf(flags: PlanFlags): Promise<Scenario> {
  const kinds = (['rate', 'sessions', 'scenario'] as const).filter((flag) => flags[flag]);
  const [kind] = kinds;
  if (kind === undefined || kinds.length > 1) {
    throw new UsageError('Say what the load is: one of --rate, --sessions and --scenario.');
  }
  try {
    switch (kind) {
      case 'rate':
        return fromFlags(flags, ratePhases(flags), 1);
      case 'sessions':
        return fromFlags(flags, heldPhases(flags), 'until-end');
      case 'scenario':
        only(flags, kind, ['duration', 'hold', 'ramp', 'name', 'utterances', 'think-time']);
        return await fromFile(flags.scenario ?? '');
    }
  } catch (error) {
    if (error instanceof ScenarioFault) throw new UsageError(error.message);
    throw error;
  }
}

/** What would be ignored is refused. */
function only(flags: PlanFlags, kind: Flag, others: readonly Flag[]): void {
  const other = others.find((flag) => flags[flag] !== undefined);
  if (other) throw new UsageError(`--${other} means nothing together with --${kind}.`);
}

function ratePhases(flags: PlanFlags): Scenario['phases'] {
  const perSecond = positive(flags.rate ?? '', 'rate');
  const rampS = seconds(flags.ramp ?? '0', 'ramp');
  return rateLoad(perSecond, rampS, holdOf(flags, rampS));
}

function heldPhases(flags: PlanFlags): Scenario['phases'] {
  const sessions = positiveInteger(flags.sessions ?? '', 'sessions');
  const rampS = positive(flags.ramp ?? String(sessions / 10), 'ramp');
  return heldLoad(sessions, rampS, holdOf(flags, rampS));
}

/** Seconds after the ramp. */
function holdOf({ hold, duration }: PlanFlags, rampS: number): number {
  if ((hold === undefined) === (duration === undefined)) {
    throw new UsageError('Say how long: with --hold, after the ramp, or with --duration, in all.');
  }
  if (duration === undefined) return seconds(hold ?? '', 'hold');
  const holdS = positive(duration, 'duration') - rampS;
  if (holdS >= 0) return holdS;
  throw new UsageError(`The ramp of ${rampS} s is longer than --duration.`);
}

function fromFlags(
  flags: PlanFlags,
  phases: Scenario['phases'],
  utterances: Scenario['utterances'],
): Scenario {
  const asked = flags.utterances;
  const scenario = {
    name: flags.name ?? 'load',
    phases,
    utterances: asked === undefined ? utterances : positiveInteger(asked, 'utterances'),
    thinkSeconds: seconds(flags['think-time'] ?? '0', 'think-time'),
  };
  return checkScenario(scenario, 'What the flags ask for');
}

async function fromFile(path: string): Promise<Scenario> {
  const text = await readFile(path, 'utf8').catch((error: NodeJS.ErrnoException) => {
    throw new UsageError(`Cannot read the scenario ${path} (${error.code ?? error.message}).`);
  });
  return parseScenario(text, path);
}

/** The named files, with what is said in them where a text of the same name lies beside; else the recording that is shipped. */
export async function recordingsOf(
  paths: readonly string[] | undefined,
  io: CliIo,
): Promise<[LoadRecording, ...LoadRecording[]]> {
  const [first, ...rest] = await Promise.all(
    (paths ?? [undefined]).map(async (path) => {
      const { path: file, pcm, reference } = await loadShipped(path, io);
      const said = reference ?? (await readFile(besides(file), 'utf8').catch(() => undefined));
      return loadRecordingOf(basename(file), pcm, said);
    }),
  );
  if (!first) throw new UsageError('--utterance takes the path of a recording.');
  const names = [first, ...rest].map(({ name }) => name);
  if (new Set(names).size < names.length) {
    throw new UsageError('Recordings of --utterance need names of their own.');
  }
  return [first, ...rest];
}

function besides(path: string): string {
  return path.replace(/\.[^./]*$/, '.txt');
}

/** Those of the file, one a line; else those of VOXTRAL_API_KEYS, unless one is named; else the one. Of each session the next. */
export async function keysOf(
  flags: { 'keys-file'?: string | undefined; 'voxtral-key'?: string | undefined },
  io: CliIo,
  apiKey: string | undefined,
): Promise<(string | undefined)[]> {
  const path = flags['keys-file'];
  if (path === undefined) {
    const keys =
      flags['voxtral-key'] === undefined ? split(io.env['VOXTRAL_API_KEYS'] ?? '', ',') : [];
    return keys.length > 0 ? keys : [apiKey];
  }
  const text = await readFile(path, 'utf8').catch((error: NodeJS.ErrnoException) => {
    throw new UsageError(`Cannot read the keys in ${path} (${error.code ?? error.message}).`);
  });
  const keys = split(text, '\n');
  if (keys.length === 0) throw new UsageError(`${path} holds no key.`);
  return keys;
}

function split(text: string, separator: string): string[] {
  return text
    .split(separator)
    .map((key) => key.trim())
    .filter((key) => key !== '');
}
