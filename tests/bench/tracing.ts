import { parseArgs } from 'node:util';
import { TenantLimits } from '@voice-fleet/fleet/tenant';
import { GatewayEnv } from '@voice-fleet/gateway/config';
import { YapCodec } from '@voice-fleet/gateway/dialects/yap/codec';
import { GatewayMetrics } from '@voice-fleet/gateway/metrics';
import type { Link, Route } from '@voice-fleet/gateway/session/link';
import { Session } from '@voice-fleet/gateway/session/session';
import type { SessionSink } from '@voice-fleet/gateway/session/session-deps';
import { ConnectionBooks } from '@voice-fleet/gateway/ws/connection-books';
import { systemClock } from '@voice-fleet/runtime/clock';
import { parseEnv } from '@voice-fleet/runtime/env';
import { SAMPLE_RATE } from '@voice-fleet/speech/pcm';
import { createLogger } from '@voice-fleet/telemetry/logger';
import { openTracer } from '@voice-fleet/telemetry/tracing/open-tracer';
import { NO_TRACER, type Tracer } from '@voice-fleet/telemetry/tracing/tracer';
import { frames, range, speak } from '@voice-fleet/testkit/coded-speech';

const HELP = `npm run bench:tracing -- [options]

CPU time of a gateway for a frame of audio, from its bytes to its link, in one process and in turns: without a chronicle, as it
was before there were traces; with tracing off; and with every trace kept, for a collector that is not there.

  --frames N    frames in a round (default 50000)
  --rounds N    rounds; the median counts (default 9)
  --help        print this`;

/** 20 s of 80 ms. */
const UTTERANCE_FRAMES = 250;

/** What a frame costs beside the session. */
interface Books {
  accepted(samples: number): boolean;
}

interface Path {
  readonly session: Session;
  readonly books: Books;
  readonly codec: YapCodec;
  close(): Promise<void>;
}

const log = createLogger('gateway', 'error');
const { limits } = parseEnv(GatewayEnv, {});
const metrics = new GatewayMetrics(['yap']);
const SINK: SessionSink = {
  event: () => undefined,
  end: () => undefined,
  holdInput: () => undefined,
  workerLost: () => undefined,
  moved: () => undefined,
};

function envelope(type: string, payload: object): Buffer {
  return Buffer.from(JSON.stringify({ type, session_id: 's', request_id: 'u', payload }));
}
const START = envelope('input_audio_buffer.commit', { final: false });
const END = envelope('input_audio_buffer.commit', { final: true });
const FRAMES = frames(speak(range(1, 50))).map((pcm) =>
  envelope('input_audio_buffer.append', { audio: pcm.toString('base64') }),
);

/** The code that counted frames before. */
class PlainBooks implements Books {
  readonly #audio = metrics.audioSeconds.labels('yap');
  readonly #tier = metrics.tierAudioSeconds.labels('normal');
  #samples = 0;

  accepted(samples: number): boolean {
    const more = samples - this.#samples;
    if (more <= 0) return false;
    this.#samples = samples;
    this.#audio.inc(more / SAMPLE_RATE);
    this.#tier.inc(more / SAMPLE_RATE);
    return true;
  }
}

/** One session of a gateway, whose worker takes everything and hears nothing. `tracer` undefined: as before. */
async function open(tracer: Tracer | undefined): Promise<Path> {
  const books =
    tracer === undefined
      ? undefined
      : new ConnectionBooks('yap', { clock: systemClock, tracer, metrics, log }, { headers: {} });
  const link: Link = {
    workerId: 'w',
    model: 'm',
    start: () => undefined,
    audio: () => undefined,
    finish: (utterance) =>
      session.onUtterance({
        type: 'final',
        utterance,
        words: [],
        promptTokens: 0,
        completionTokens: 0,
      }),
    cancel: () => undefined,
    close: async () => undefined,
  };
  const route: Route = { connect: async () => link, release: async () => undefined };
  books?.chronicle.admitting();
  const session: Session = new Session({
    id: 'sess_bench',
    clock: systemClock,
    limits: { ...limits, idleTimeoutMs: undefined, maxDurationMs: undefined },
    route,
    sink: books?.chronicle.sink(SINK) ?? SINK,
  });
  await session.open({ waitMs: 0 });
  const principal = { tenantId: 't', keyId: 'k', limits: TenantLimits.parse({}), scopes: [] };
  books?.named(session, principal as unknown as Parameters<ConnectionBooks['named']>[1]);
  books?.letIn(1, false);
  const codec = new YapCodec(parseEnv(GatewayEnv, {}).yap);
  return { session, books: books ?? new PlainBooks(), codec, close: () => session.close() };
}

/** CPU µs a frame. */
function measure({ session, books, codec }: Path, count: number): number {
  const before = process.cpuUsage();
  for (let sent = 0; sent < count; ) {
    session.apply(codec.decode(START, false));
    for (let at = 0; at < UTTERANCE_FRAMES && sent < count; at += 1, sent += 1) {
      const frame = FRAMES[at % FRAMES.length] as Buffer;
      session.touch();
      session.apply(codec.decode(frame, false));
      books.accepted(session.recordedSamples);
    }
    session.apply(codec.decode(END, false));
  }
  const { user, system } = process.cpuUsage(before);
  return (user + system) / count;
}

async function main(): Promise<void> {
  const { values } = parseArgs({
    options: {
      frames: { type: 'string', default: '50000' },
      rounds: { type: 'string', default: '9' },
      help: { type: 'boolean', default: false },
    },
  });
  if (values.help) return console.log(HELP);
  const count = Number(values.frames);
  const rounds = Number(values.rounds);
  if (!(count >= 1_000) || !(rounds >= 1)) throw new Error(HELP);
  const settings = {
    on: true,
    endpoint: 'http://127.0.0.1:9',
    ratio: 1,
    maxQueued: 2_048,
    delayMs: 1_000,
    content: false,
  };
  const quiet = createLogger('bench', 'error');
  const tracer = await openTracer({ service: 'bench', settings, log: quiet });
  const paths = {
    before: await open(undefined),
    off: await open(NO_TRACER),
    on: await open(tracer),
  };
  type Name = keyof typeof paths;
  const names = Object.keys(paths) as Name[];
  const found: Record<Name, number[]> = { before: [], off: [], on: [] };
  // Hot functions are compiled in these, which do not count.
  for (const name of names) measure(paths[name], count);
  for (let round = 0; round < rounds; round += 1) {
    // Each comes first as often as the others.
    for (let turn = 0; turn < names.length; turn += 1) {
      const name = names[(round + turn) % names.length] as Name;
      found[name].push(measure(paths[name], count));
    }
    await new Promise((resolve) => setImmediate(resolve));
  }
  const before = median(found.before);
  console.log(`CPU for a frame of 80 ms, median of ${rounds} rounds of ${count} frames:\n`);
  for (const name of names) {
    const micros = median(found[name]);
    console.log(
      `  ${name.padEnd(7)} ${micros.toFixed(2)} µs   ${(micros / before).toFixed(2)} × before`,
    );
  }
  await Promise.all(Object.values(paths).map((path) => path.close()));
  await tracer.close();
}

function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
  return sorted[sorted.length >> 1] ?? 0;
}

await main();
