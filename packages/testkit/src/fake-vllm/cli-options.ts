import { parseArgs } from 'node:util';
import type { CloseCode, Fault, Faults } from './faults.ts';
import { DEFAULT_MODEL, type FakeVllmOptions } from './options.ts';

/** What a name on the command line does to a server. `n` is what stands behind its colon, or the default. */
interface NamedFault {
  readonly n: number;
  readonly what: string;
  readonly make: (n: number) => Fault | ((faults: Faults) => void);
}

const afterDeltas = (kind: 'stall' | 'blank' | 'processing_error' | 'crash' | 'half_open') => ({
  n: 0,
  make: (n: number): Fault => ({ kind, afterDeltas: n }),
});

const closing = (code: CloseCode): NamedFault => ({
  n: 0,
  what: `closes with ${code} after n deltas`,
  make: (n) => ({ kind: 'close', afterDeltas: n, code }),
});

const closingAtConnect = (code: CloseCode): NamedFault => ({
  n: 0,
  what: `closes with ${code} right after the greeting`,
  make: () => ({ kind: 'close_at_connect', code }),
});

const frame = (what: string, text: string): NamedFault => ({
  n: 0,
  what,
  make: (n) => ({ kind: 'frame', afterDeltas: n, text }),
});

const WRONG_USAGE = { prompt_tokens: -1, completion_tokens: 0, total_tokens: 7 };

const FAULTS: Readonly<Record<string, NamedFault>> = {
  stall: { ...afterDeltas('stall'), what: 'nothing comes after n deltas, done neither' },
  'no-done': { n: 0, what: 'deltas come, done does not', make: () => ({ kind: 'no_done' }) },
  'double-done': { n: 0, what: 'done comes twice', make: () => ({ kind: 'double_done' }) },
  blank: { ...afterDeltas('blank'), what: 'only empty deltas from delta n on' },
  'processing-error': { ...afterDeltas('processing_error'), what: 'that error after n deltas' },
  'close-1000': closing(1000),
  'close-1006': closing(1006),
  'close-1011': closing(1011),
  'close-1012': closing(1012),
  'connect-1000': closingAtConnect(1000),
  'connect-1006': closingAtConnect(1006),
  'connect-1011': closingAtConnect(1011),
  'connect-1012': closingAtConnect(1012),
  'half-open': { ...afterDeltas('half_open'), what: 'silent but open after n deltas' },
  crash: { ...afterDeltas('crash'), what: 'the engine dies after n deltas of one utterance' },
  'not-json': frame('a frame that is not JSON after n deltas', 'oops'),
  'unknown-event': frame(
    'an event of unknown type after n deltas',
    JSON.stringify({ type: 'transcription.surprise' }),
  ),
  'junk-delta': {
    n: 0,
    what: 'an empty utterance gets a delta',
    make: () => ({ kind: 'junk_delta', text: '!' }),
  },
  'no-usage': {
    n: 0,
    what: 'done comes without usage',
    make: () => ({ kind: 'usage', usage: undefined }),
  },
  'wrong-usage': {
    n: 0,
    what: 'done comes with senseless usage',
    make: () => ({ kind: 'usage', usage: WRONG_USAGE }),
  },
  refuse: {
    n: 0,
    what: 'connections are cut, or refused with HTTP status n',
    make: (n) => (n === 0 ? { kind: 'refuse' } : { kind: 'refuse', status: n }),
  },
  'slow-accept': {
    n: 5_000,
    what: 'connections are accepted after n ms',
    make: (n) => ({ kind: 'slow_accept', delayMs: n }),
  },
  mute: { n: 0, what: 'connections are accepted, nothing comes', make: () => ({ kind: 'mute' }) },
  'model-not-found': {
    n: 0,
    what: 'no model name is right',
    make: () => ({ kind: 'model_not_found' }),
  },
  hang: { n: 0, what: 'nobody gets deltas, /health is well', make: () => (it) => it.hang() },
  slow: { n: 10, what: 'steps take n times longer', make: (n) => (it) => it.slowDown(n) },
};

export const HELP = `Plays a vLLM server with a Voxtral realtime model, without a GPU.

  --host HOST            default 127.0.0.1
  --port PORT            default 8000; 0 takes a free one
  --model NAME           served name (default ${DEFAULT_MODEL})
  --api-key KEY          asked for on /v1; may be given several times
  --delay-ms MS          transcription delay, a multiple of 80 (default 480)
  --step-ms MS           a step of n utterances lasts this …
  --per-sequence-ms MS   … and n times this (default 0 and 0: as fast as possible)
  --max-num-seqs N       utterances in one step at the most (default 1024)
  --max-model-len N      tokens at which the engine dies (default 131072)
  --kv-pool-mib MIB      KV cache (default 61850, an H100)
  --fault NAME[:N]       every utterance or connection has it; may be given several times
  --json                 the ready line is a JSON object
  --help                 prints this

Faults, n being 0 where none is given and nothing else is said:
${Object.entries(FAULTS)
  .map(([name, { what, n }]) => `  ${name.padEnd(17)} ${what}${n > 0 ? ` (n: ${n})` : ''}`)
  .join('\n')}

It ends with SIGTERM or SIGINT, closing connections with 1012. Exit codes: 0 ended so, 1 it could not listen, 2 wrong flags.`;

export interface CliOptions {
  readonly server: FakeVllmOptions;
  /** Arms everything that --fault asked for. */
  readonly arm: (faults: Faults) => void;
  readonly json: boolean;
}

/** `undefined` when only help was asked for. Throws an Error with a readable message for wrong flags. */
export function readCliOptions(args: readonly string[]): CliOptions | undefined {
  const { values } = parseArgs({
    args: [...args],
    options: {
      host: { type: 'string', default: '127.0.0.1' },
      port: { type: 'string', default: '8000' },
      model: { type: 'string', default: DEFAULT_MODEL },
      'api-key': { type: 'string', multiple: true, default: [] },
      'delay-ms': { type: 'string', default: '480' },
      'step-ms': { type: 'string', default: '0' },
      'per-sequence-ms': { type: 'string', default: '0' },
      'max-num-seqs': { type: 'string', default: '1024' },
      'max-model-len': { type: 'string', default: '131072' },
      'kv-pool-mib': { type: 'string', default: '61850' },
      fault: { type: 'string', multiple: true, default: [] },
      json: { type: 'boolean', default: false },
      help: { type: 'boolean', default: false },
    },
  });
  if (values.help) return undefined;
  const delayMs = number('--delay-ms', values['delay-ms'], 80);
  if (delayMs % 80 !== 0) throw new Error(`--delay-ms takes a multiple of 80, not ${delayMs}.`);
  const faults = values.fault.map(faultOf);
  return {
    server: {
      host: values.host,
      port: wholeNumber('--port', values.port, 0, 65_535),
      models: [values.model],
      apiKeys: values['api-key'],
      delayMs,
      baseMs: number('--step-ms', values['step-ms'], 0),
      perSequenceMs: number('--per-sequence-ms', values['per-sequence-ms'], 0),
      maxNumSeqs: wholeNumber('--max-num-seqs', values['max-num-seqs'], 1),
      maxModelLen: wholeNumber('--max-model-len', values['max-model-len'], 1),
      kvPoolMib: wholeNumber('--kv-pool-mib', values['kv-pool-mib'], 1),
    },
    arm: (target) => {
      for (const fault of faults) {
        if (typeof fault === 'function') fault(target);
        else target.arm(fault, 'always');
      }
    },
    json: values.json,
  };
}

function faultOf(flag: string): ReturnType<NamedFault['make']> {
  const [name = '', digits, ...rest] = flag.split(':');
  const named = Object.hasOwn(FAULTS, name) ? FAULTS[name] : undefined;
  if (named === undefined || rest.length > 0)
    throw new Error(`--fault takes NAME or NAME:N, not "${flag}"; --help lists the names.`);
  return named.make(digits === undefined ? named.n : number(`--fault ${name}`, digits, 0));
}

function wholeNumber(flag: string, text: string, min: number, max?: number): number {
  const value = number(flag, text, min, max);
  if (Number.isInteger(value)) return value;
  throw new Error(`${flag} takes a whole number, not "${text}".`);
}

function number(flag: string, text: string, min: number, max = Number.MAX_SAFE_INTEGER): number {
  const value = text.trim() === '' ? Number.NaN : Number(text);
  if (value >= min && value <= max) return value;
  const range = max === Number.MAX_SAFE_INTEGER ? `from ${min} up` : `from ${min} to ${max}`;
  throw new Error(`${flag} takes a number ${range}, not "${text}".`);
}
