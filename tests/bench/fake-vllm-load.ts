import { once } from 'node:events';
import { VLLM_FRAME_SAMPLES } from '@voice-fleet/protocol/vllm-realtime';
import { BYTES_PER_SAMPLE, msToSamples } from '@voice-fleet/speech/pcm';
import { WebSocket } from 'ws';
import { z } from 'zod';
import { startPacer } from './processes/pacer.ts';
import { fail, serveParent, tell } from './processes/parent.ts';

/** The part of the load process of `fake-vllm.ts`: sessions that speak in real time and note how late each delta is. */
export const FakeVllmLoadJob = z.object({
  url: z.string(),
  sessions: z.int(),
  frameMs: z.number(),
  delayMs: z.number(),
});
export type FakeVllmLoadJob = z.infer<typeof FakeVllmLoadJob>;

const CONNECTIONS_AT_ONCE = 20;
const CONNECT_TIMEOUT_MS = 10_000;
/** Appends of one session whose time is remembered: more than may be without their delta. */
const REMEMBERED = 4_096;
const LOOK_AHEAD_SAMPLES = 40;

const job = FakeVllmLoadJob.parse(JSON.parse(process.argv[2] ?? ''));
const frameSamples = msToSamples(job.frameMs);
const frame = appendOf(frameSamples);
let lagsMs: number[] = [];

/** One utterance without end. */
class Speaker {
  readonly #socket: WebSocket;
  readonly #sentMs = new Float64Array(REMEMBERED);
  #sent = 0;
  #deltas = 0;

  constructor(socket: WebSocket, index: number) {
    this.#socket = socket;
    socket.on('message', (data: Buffer) => {
      if (data.includes('"type":"error"')) fail(`session ${index} got ${data.toString()}`);
      this.#onDelta();
    });
    socket.on('close', (code) => fail(`session ${index} was closed (${code})`));
    socket.send('{"type":"session.update","model":""}');
    socket.send('{"type":"input_audio_buffer.commit"}');
  }

  speak(): void {
    this.#sentMs[this.#sent % REMEMBERED] = performance.now();
    this.#sent += 1;
    this.#socket.send(frame, { binary: false });
  }

  /** Its delta could come at the earliest with the append that completed its audio. */
  #onDelta(): void {
    const needed = job.delayMs * 16 + (1 + this.#deltas) * VLLM_FRAME_SAMPLES + LOOK_AHEAD_SAMPLES;
    const append = Math.ceil(needed / frameSamples) - 1;
    lagsMs.push(performance.now() - (this.#sentMs[append % REMEMBERED] ?? 0));
    this.#deltas += 1;
  }
}

/** Tones, as a voice has: the costliest audio to hear, and of no word. */
function appendOf(samples: number): Buffer {
  const pcm = Buffer.alloc(samples * BYTES_PER_SAMPLE);
  for (let sample = 0; sample < samples; sample += 1) {
    const value = 6000 * Math.sin(sample / 7) + 3000 * Math.sin(sample / 3.1);
    pcm.writeInt16LE(Math.round(value), sample * BYTES_PER_SAMPLE);
  }
  const append = { type: 'input_audio_buffer.append', audio: pcm.toString('base64') };
  return Buffer.from(JSON.stringify(append));
}

async function open(index: number): Promise<Speaker> {
  const socket = new WebSocket(job.url, { perMessageDeflate: false, skipUTF8Validation: true });
  socket.on('error', (error) => fail(`session ${index}: ${error.message}`));
  // session.created
  await once(socket, 'message', { signal: AbortSignal.timeout(CONNECT_TIMEOUT_MS) });
  return new Speaker(socket, index);
}

function percentile(sorted: readonly number[], part: number): number {
  return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * part))] ?? 0;
}

serveParent((request) => {
  const sorted = lagsMs.sort((a, b) => a - b);
  lagsMs = [];
  const { worstLagMs } = pacer;
  pacer.reset();
  if (request === 'reset') return { kind: 'reset' };
  const frames = sorted.length;
  tell({ kind: 'load-report', messages: frames, worstLagMs });
  const [p50Ms, p99Ms] = [percentile(sorted, 0.5), percentile(sorted, 0.99)];
  return { kind: 'upstream-report', frames, p50Ms, p99Ms };
});

const speakers: Speaker[] = [];
while (speakers.length < job.sessions) {
  const from = speakers.length;
  const count = Math.min(CONNECTIONS_AT_ONCE, job.sessions - from);
  speakers.push(...(await Promise.all(Array.from({ length: count }, (_, i) => open(from + i)))));
}
const pacer = startPacer(job.frameMs, speakers.length, (slot) => speakers[slot]?.speak());
tell({ kind: 'ready' });
