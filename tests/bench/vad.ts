import { parseArgs } from 'node:util';
import { EnergyVad } from '@voice-fleet/asr-worker/vad/energy-vad';
import { SileroVad } from '@voice-fleet/asr-worker/vad/silero-vad';
import type { Vad } from '@voice-fleet/asr-worker/vad/vad';
import { WebrtcVad } from '@voice-fleet/asr-worker/vad/webrtc-vad';
import { silence } from '@voice-fleet/testkit/coded-speech';
import { FakeClock } from '@voice-fleet/testkit/fake-clock';
import { fliteSays } from '../support/flite-voice.ts';

const HELP = `npm run bench:vad -- [options]

CPU time of the asr-worker's detectors for a second of audio, all in one process and in turns: energy, WebRTC's, and Silero
with its thread and the messages to it, for 1, 4 and 16 streams at once. Nothing is paced. Once with speech without a
pause, and once with as much silence as speech, which the gate keeps from Silero.

  --seconds N   audio of each stream in a round (default 20)
  --rounds N    rounds; the median counts (default 5)
  --help        print this`;

const FRAME_BYTES = 1_024;
const FRAME_MS = 32;
const WARM_UP_FRAMES = 60;

interface Candidate {
  readonly name: string;
  readonly vad: Vad;
  readonly streams: number;
}

async function main(): Promise<void> {
  const { values } = parseArgs({
    options: {
      seconds: { type: 'string', default: '20' },
      rounds: { type: 'string', default: '5' },
      help: { type: 'boolean', default: false },
    },
  });
  if (values.help) return console.log(HELP);
  const seconds = wholeNumber('--seconds', values.seconds, 2, 600);
  const rounds = wholeNumber('--rounds', values.rounds, 1, 100);
  const spoken = await speech(seconds);
  const audio = { speech: spoken, half: withPauses(spoken) };
  const clock = new FakeClock();
  const silero = await SileroVad.start({
    clock,
    stats: { onDecided: () => {}, onStep: () => {}, onRestart: () => {} },
    log: () => {},
    onGivenUp: (how) => {
      throw new Error(`Silero was lost: ${how}`);
    },
  });
  const energy = new EnergyVad();
  const webrtc = await WebrtcVad.start();
  const candidates: Candidate[] = [
    { name: 'energy', vad: energy, streams: 1 },
    { name: 'webrtc', vad: webrtc, streams: 1 },
    ...[1, 4, 16].map((streams) => ({ name: `silero x ${streams}`, vad: silero, streams })),
  ];
  const found = candidates.map(() => ({ speech: [] as number[], half: [] as number[] }));
  for (let round = 0; round < rounds; round += 1) {
    for (const [nth, candidate] of candidates.entries()) {
      for (const kind of ['speech', 'half'] as const)
        found[nth]?.[kind].push(await measure(candidate, audio[kind], clock));
    }
  }
  await Promise.all([silero.stop(), webrtc.stop(), energy.stop()]);
  console.log('CPU us for a second of audio; in brackets: times that of energy');
  console.log(`${'detector'.padEnd(12)}${'speech'.padStart(20)}${'half silence'.padStart(20)}`);
  const base = { speech: median(found[0]?.speech), half: median(found[0]?.half) };
  for (const [nth, { name }] of candidates.entries()) {
    const cell = (kind: 'speech' | 'half'): string => {
      const us = median(found[nth]?.[kind]);
      return `${us.toFixed(0)} (${(us / base[kind]).toFixed(1)})`.padStart(20);
    };
    console.log(`${name.padEnd(12)}${cell('speech')}${cell('half')}`);
  }
}

/** CPU time in us for a second of one stream's audio. */
async function measure(
  { vad, streams }: Candidate,
  pcm: Buffer,
  clock: FakeClock,
): Promise<number> {
  let waiting = 0;
  let onAll: () => void = () => {};
  const open = Array.from({ length: streams }, () =>
    vad.open(() => {
      waiting -= 1;
      if (waiting <= 0) onAll();
    }),
  );
  const step = async (at: number): Promise<void> => {
    waiting = vad.name === 'silero' ? streams : 0;
    const all = new Promise<void>((resolve) => {
      onAll = resolve;
    });
    const frame = pcm.subarray(at, at + FRAME_BYTES);
    for (const stream of open) stream.push(frame);
    clock.advance(FRAME_MS);
    if (waiting > 0) await all;
  };
  for (let nth = 0; nth < WARM_UP_FRAMES; nth += 1) await step(nth * FRAME_BYTES);
  const before = process.cpuUsage();
  let frames = 0;
  for (let at = 0; at + FRAME_BYTES <= pcm.length; at += FRAME_BYTES, frames += 1) await step(at);
  const { user, system } = process.cpuUsage(before);
  for (const stream of open) stream.close();
  return (user + system) / ((frames * streams * FRAME_MS) / 1000);
}

/** Speech without a pause. */
async function speech(seconds: number): Promise<Buffer> {
  const phrases = await fliteSays([
    'The history of the telephone begins with two inventors on one day, and a long quarrel in court.',
    'Please turn on the light in the kitchen, close the window, and tell me what the weather is like.',
  ]);
  const once = Buffer.concat(phrases);
  const bytes = seconds * 32_000;
  return Buffer.concat(Array.from({ length: Math.ceil(bytes / once.length) }, () => once)).subarray(
    0,
    bytes,
  );
}

/** Four seconds of speech, then four of silence, in turns: as long as `spoken`. */
function withPauses(spoken: Buffer): Buffer {
  const pcm = Buffer.from(spoken);
  const part = silence(4_000);
  for (let at = part.length; at < pcm.length; at += 2 * part.length) part.copy(pcm, at);
  return pcm;
}

function median(values: readonly number[] = []): number {
  return [...values].sort((one, other) => one - other)[values.length >> 1] ?? Number.NaN;
}

function wholeNumber(option: string, text: string, min: number, max: number): number {
  const value = Number(text);
  if (Number.isInteger(value) && value >= min && value <= max) return value;
  throw new Error(`${option} must be a whole number from ${min} to ${max}`);
}

await main();
