import { setTimeout as delay } from 'node:timers/promises';
import { parseArgs } from 'node:util';
import { WorkerEnv } from '@voice-fleet/asr-worker/config';
import { catchUpPermits } from '@voice-fleet/asr-worker/transcription/catch-up';
import { parseEnv } from '@voice-fleet/runtime/env';
import {
  frames,
  range,
  SLOT_SAMPLES,
  speak,
  WORD_SAMPLES,
} from '@voice-fleet/testkit/coded-speech';
import { FakeVllm } from '@voice-fleet/testkit/fake-vllm/fake-vllm';
import { DEFAULT_MODEL } from '@voice-fleet/testkit/fake-vllm/options';
import { type LinkPeer, LinkWorker } from '../support/link-peer.ts';
import { workerEngine } from '../support/worker-engine.ts';
import { describeMachine } from './machine.ts';

const HELP = `npm run bench:catch-up -- [options]

Moves sessions to a worker that serves live ones, all at once, and prints how late the words of the live ones come meanwhile:
without turns to catch up, and with them. Over a fake vLLM whose steps take as long as is said; in real time.

  --live N              sessions in real time (default 8)
  --moved N             sessions that are moved here (default 8)
  --replay-seconds N    audio of each that is to be heard again (default 5)
  --step-ms MS          a step of n sessions takes this … (default 15)
  --per-sequence-ms MS  … and n times this (default 5)
  --permits N           how many may catch up at once; 0: as many as is usual for --live and --moved slots (default 0)
  --seconds N           seconds measured from the move on (default 8)
  --help                prints this`;

const RATE = 16_000;
const FRAME_SAMPLES = 1_280;
const FRAME_MS = 80;
const WARM_UP_MS = 3_000;

interface Options {
  readonly live: number;
  readonly moved: number;
  readonly replayS: number;
  readonly stepMs: number;
  readonly perSequenceMs: number;
  readonly permits: number;
  readonly seconds: number;
}

interface Result {
  /** From the frame with the end of a word to the first event with that word, guesses included: the model's delay is in it. */
  readonly beforeMs: readonly number[];
  readonly duringMs: readonly number[];
  /** From the move until the last moved session had all its audio taken that was to be heard again. */
  readonly caughtUpMs: number;
  readonly droppedS: number;
}

/** One session that speaks in real time, in frames of 80 ms, and hears when each of its words comes. */
class Talker {
  readonly peer: LinkPeer;
  /** When each word came, on the clock of `performance`, by its number. */
  readonly cameMs = new Map<number, number>();
  readonly #sentMs: number[] = [];
  readonly #pieces: readonly Buffer[];
  #next: number;

  constructor(peer: LinkPeer, pcm: Buffer, fromFrame: number) {
    this.peer = peer;
    this.#pieces = frames(pcm);
    this.#next = fromFrame;
    peer.onEvent = (event) => {
      if (event.type !== 'partial') return;
      const text = event.words.map((word) => word.text).join('') + event.tail;
      for (const [, number] of text.matchAll(/w(\d+)/g)) {
        const word = Number(number);
        if (!this.cameMs.has(word)) this.cameMs.set(word, performance.now());
      }
    };
  }

  speak(): void {
    const piece = this.#pieces[this.#next];
    if (piece === undefined) return;
    this.#sentMs[this.#next] = performance.now();
    this.#next += 1;
    this.peer.audio(piece);
  }

  /** Of the words whose last frame was sent in this span. */
  latencies(fromMs: number, untilMs: number): number[] {
    return [...this.cameMs].flatMap(([word, cameMs]) => {
      const end = (word - 1) * SLOT_SAMPLES + WORD_SAMPLES - 1;
      const sentMs = this.#sentMs[Math.floor(end / FRAME_SAMPLES)];
      return sentMs !== undefined && sentMs >= fromMs && sentMs < untilMs ? cameMs - sentMs : [];
    });
  }
}

async function run(options: Options, permits: number): Promise<Result> {
  const { live, moved, replayS, stepMs, perSequenceMs, seconds } = options;
  const fake = await FakeVllm.start({ baseMs: stepMs, perSequenceMs });
  const env = {
    ASR_ENGINE: 'vllm',
    VLLM_BASE_URL: fake.httpUrl,
    VOXTRAL_SERVED_MODEL_NAME: DEFAULT_MODEL,
    VLLM_SPARE_SOCKETS: String(live + moved),
    WORKER_SLOTS_START: String(live + moved),
  };
  const { engine } = workerEngine(env);
  await engine.start();
  const { transcription } = parseEnv(WorkerEnv, env);
  const worker = await LinkWorker.start({
    engine: Object.defineProperty(engine, 'slots', { value: live + moved }),
    settings: transcription,
    permits: () => permits,
  });
  const talkers: Talker[] = [];
  const startMs = performance.now();
  // By the clock, so that a late timer sends what is due instead of falling behind for ever.
  let due = 0;
  const pace = setInterval(() => {
    for (; due < (performance.now() - startMs) / FRAME_MS; due += 1)
      for (const talker of talkers) talker.speak();
  }, FRAME_MS / 8);
  try {
    const totalS = replayS + WARM_UP_MS / 1_000 + seconds + 5;
    const pcm = speak(range(1, Math.ceil((totalS * RATE) / SLOT_SAMPLES)));
    for (let nth = 0; nth < live; nth += 1) {
      const peer = await worker.linked(`live ${nth}`);
      peer.start(1);
      talkers.push(new Talker(peer, pcm, 0));
    }
    const speaking = talkers.slice();
    await delay(WARM_UP_MS);
    const movedMs = performance.now();
    const replayFrames = Math.round((replayS * RATE) / FRAME_SAMPLES);
    const liveSample = replayFrames * FRAME_SAMPLES;
    const caughtUp = Array.from({ length: moved }, async (_, nth) => {
      const peer = await worker.linked(`moved ${nth}`);
      peer.start(1, 0, { heardSample: 0, liveSample, words: [] });
      peer.audio(pcm.subarray(0, liveSample * 2));
      const talker = new Talker(peer, pcm, replayFrames);
      talkers.push(talker);
      return until(talker, liveSample);
    });
    const caughtUpAtMs = Math.max(...(await Promise.all([delay(1, movedMs), ...caughtUp])));
    await delay(Math.max(0, movedMs + seconds * 1_000 - performance.now()));
    return {
      beforeMs: speaking.flatMap((talker) => talker.latencies(startMs + 1_000, movedMs - 500)),
      duringMs: speaking.flatMap((talker) => talker.latencies(movedMs, caughtUpAtMs)),
      caughtUpMs: caughtUpAtMs - movedMs,
      droppedS: await worker.count('voice_worker_dropped_audio_seconds_total'),
    };
  } finally {
    clearInterval(pace);
    await worker[Symbol.asyncDispose]();
    await engine.stop();
    await fake.close();
  }
}

/** Settles, with the time, when the words of all audio before `sample` have come. */
async function until(talker: Talker, sample: number): Promise<number> {
  const last = Math.floor((sample - WORD_SAMPLES) / SLOT_SAMPLES) + 1;
  for (;;) {
    const cameMs = talker.cameMs.get(last);
    if (cameMs !== undefined) return cameMs;
    await delay(5);
  }
}

function percentile(values: readonly number[], share: number): number {
  const sorted = [...values].sort((a, b) => a - b);
  return sorted[Math.min(sorted.length - 1, Math.floor(share * sorted.length))] ?? Number.NaN;
}

function row(name: string, { beforeMs, duringMs, caughtUpMs, droppedS }: Result): string {
  const cells = [
    name.padEnd(14),
    ...[beforeMs, duringMs].flatMap((values) =>
      [0.5, 0.95, 1].map((share) => percentile(values, share).toFixed(0).padStart(7)),
    ),
    `${(caughtUpMs / 1000).toFixed(2)} s`.padStart(12),
    `${droppedS.toFixed(2)} s`.padStart(9),
  ];
  return cells.join(' ');
}

async function main(): Promise<void> {
  const { values } = parseArgs({
    options: {
      live: { type: 'string', default: '8' },
      moved: { type: 'string', default: '8' },
      'replay-seconds': { type: 'string', default: '5' },
      'step-ms': { type: 'string', default: '15' },
      'per-sequence-ms': { type: 'string', default: '5' },
      permits: { type: 'string', default: '0' },
      seconds: { type: 'string', default: '8' },
      help: { type: 'boolean', default: false },
    },
  });
  if (values.help) return console.log(HELP);
  const options = {
    live: number('--live', values.live, 1, 200),
    moved: number('--moved', values.moved, 1, 200),
    replayS: number('--replay-seconds', values['replay-seconds'], 1, 60),
    stepMs: number('--step-ms', values['step-ms'], 0, 1_000),
    perSequenceMs: number('--per-sequence-ms', values['per-sequence-ms'], 0, 1_000),
    permits: number('--permits', values.permits, 0, 400),
    seconds: number('--seconds', values.seconds, 1, 600),
  };
  const { live, moved, replayS, stepMs, perSequenceMs } = options;
  const machine = describeMachine(undefined, []);
  const permits = catchUpPermits(options.permits, live + moved);
  console.log(
    `${live} live, ${moved} moved here with ${replayS} s each; a step takes ${stepMs} ms and ${perSequenceMs} ms for each session in it`,
    '\nLatency of live words in ms, the model’s delay of 480 ms included.',
  );
  console.log(
    `${''.padEnd(14)} before: P50     P95     max  during: P50  P95     max    caught up   dropped`,
  );
  console.log(row('all at once', await run(options, Number.POSITIVE_INFINITY)));
  console.log(row(`${permits} at a time`, await run(options, permits)));
  console.log(
    `${machine.cpu}, ${machine.cores} cores, Linux ${machine.kernel}, Node ${machine.node}; load average ${machine.loadAverage.toFixed(1)} before.`,
  );
}

function number(flag: string, text: string, min: number, max: number): number {
  const value = text.trim() === '' ? Number.NaN : Number(text);
  if (value >= min && value <= max) return value;
  throw new Error(`${flag} takes a number from ${min} to ${max}, not "${text}".`);
}

main().then(
  () => process.exit(0),
  (error: unknown) => {
    process.stderr.write(`${error instanceof Error ? error.message : String(error)}\n`);
    process.exit(1);
  },
);
