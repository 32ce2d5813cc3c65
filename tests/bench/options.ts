import { parseArgs } from 'node:util';

export const TARGET_NAMES = ['ws', 'nginx', 'haproxy', 'gateway'] as const;
export type TargetName = (typeof TARGET_NAMES)[number];

export interface BenchOptions {
  readonly sessions: number;
  readonly seconds: number;
  readonly runs: number;
  readonly only: readonly TargetName[];
  readonly json: boolean;
  readonly profileDir: string | undefined;
}

export const HELP = `npm run bench:gateway -- [options]

What our gateway costs per session beside a bare \`ws\` relay, nginx and haproxy, under the same load in the same run.
nginx and haproxy are left out where they are not installed. Takes about (seconds + 6) × runs × 4 seconds.

  --sessions N     WebSocket sessions, each sending one 80 ms frame every 80 ms (default 200)
  --seconds N      length of one measurement, after 2 s of warm-up (default 15)
  --runs N         rounds; each measures every target once, the table shows medians (default 3)
  --only A,B       only these targets: ${TARGET_NAMES.join(', ')}
  --profile DIR    write a V8 CPU profile of each Node target to DIR; profiling itself costs CPU
  --json           print one JSON object on stdout instead of the table; progress goes to stderr either way
  --help           print this`;

/** `undefined` when only help was asked for. Throws an Error with a readable message for wrong flags. */
export function readOptions(args: readonly string[]): BenchOptions | undefined {
  const { values } = parseArgs({
    args: [...args],
    options: {
      sessions: { type: 'string', default: '200' },
      seconds: { type: 'string', default: '15' },
      runs: { type: 'string', default: '3' },
      only: { type: 'string', default: TARGET_NAMES.join(',') },
      profile: { type: 'string' },
      json: { type: 'boolean', default: false },
      help: { type: 'boolean', default: false },
    },
  });
  if (values.help) return undefined;
  return {
    sessions: wholeNumber('--sessions', values.sessions, 10_000),
    seconds: wholeNumber('--seconds', values.seconds, 600),
    runs: wholeNumber('--runs', values.runs, 100),
    only: values.only.split(',').map(targetName),
    json: values.json,
    profileDir: values.profile,
  };
}

function wholeNumber(flag: string, text: string, max: number): number {
  const value = Number(text);
  if (Number.isInteger(value) && value >= 1 && value <= max) return value;
  throw new Error(`${flag} takes a whole number from 1 to ${max}, not "${text}".`);
}

function targetName(text: string): TargetName {
  const name = TARGET_NAMES.find((known) => known === text.trim());
  if (name === undefined)
    throw new Error(`There is no target "${text}": use ${TARGET_NAMES.join(', ')}.`);
  return name;
}
