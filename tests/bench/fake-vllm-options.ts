import { parseArgs } from 'node:util';

export interface FakeVllmBenchOptions {
  readonly sessions: number;
  readonly seconds: number;
  /** Audio in one append. */
  readonly frameMs: number;
  readonly stepMs: number;
  readonly json: boolean;
  readonly profileDir: string | undefined;
}

export const HELP = `tsx --conditions=source tests/bench/fake-vllm.ts [options]

What the fake vLLM costs on one core, and how late its deltas are, under live sessions that speak without a pause.

  --sessions N     live utterances, each with its own socket (default 500)
  --seconds N      length of the measurement, after 3 s of warm-up (default 20)
  --frame-ms N     audio in one append, 40 to 80 (default 80)
  --step-ms N      length of a step of the pretended GPU (default 0: as fast as possible)
  --profile DIR    write a V8 CPU profile of the fake to DIR; profiling itself costs CPU
  --json           print one JSON object on stdout instead of text
  --help           print this`;

/** `undefined` when only help was asked for. Throws an Error with a readable message for wrong flags. */
export function readOptions(args: readonly string[]): FakeVllmBenchOptions | undefined {
  const { values } = parseArgs({
    args: [...args],
    options: {
      sessions: { type: 'string', default: '500' },
      seconds: { type: 'string', default: '20' },
      'frame-ms': { type: 'string', default: '80' },
      'step-ms': { type: 'string', default: '0' },
      profile: { type: 'string' },
      json: { type: 'boolean', default: false },
      help: { type: 'boolean', default: false },
    },
  });
  if (values.help) return undefined;
  return {
    sessions: wholeNumber('--sessions', values.sessions, 1, 10_000),
    seconds: wholeNumber('--seconds', values.seconds, 1, 600),
    frameMs: wholeNumber('--frame-ms', values['frame-ms'], 40, 80),
    stepMs: wholeNumber('--step-ms', values['step-ms'], 0, 1_000),
    profileDir: values.profile,
    json: values.json,
  };
}

function wholeNumber(flag: string, text: string, min: number, max: number): number {
  const value = Number(text);
  if (Number.isInteger(value) && value >= min && value <= max) return value;
  throw new Error(`${flag} takes a whole number from ${min} to ${max}, not "${text}".`);
}
