import { readFileSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { parseArgs } from 'node:util';

/** What each of these programs is called with. `url`: of the gateway, with TLS; `file`: a WAV of 16 kHz, mono, PCM16; `file24`: the same at 24 kHz. */
export const { values: options } = parseArgs({
  options: {
    url: { type: 'string' },
    key: { type: 'string' },
    file: { type: 'string' },
    file24: { type: 'string' },
  },
});

const HEADER_BYTES = 44;
const RATE = 16_000;
const FRAME_MS = 50;

export const wsUrl = options.url.replace(/^http/, 'ws');
export const wav = readFileSync(options.file);
export const pcm = wav.subarray(HEADER_BYTES);
export const pcm24 = readFileSync(options.file24).subarray(HEADER_BYTES);

/** As someone speaks who then is silent for a second, as a microphone that stays open: for those that wait for it. */
export function withSilence(audio = pcm, rate = RATE) {
  return Buffer.concat([audio, Buffer.alloc(rate * 2)]);
}

/** Pieces of 50 ms at the pace of a microphone. */
export async function* paced(audio, rate = RATE) {
  const bytes = (rate * 2 * FRAME_MS) / 1000;
  const begunMs = performance.now();
  for (let at = 0, count = 1; at < audio.length; at += bytes, count += 1) {
    yield audio.subarray(at, at + bytes);
    await sleep(Math.max(0, begunMs + count * FRAME_MS - performance.now()));
  }
}

let isReported = false;

/** What the spec reads: the first counts. */
export function report(result) {
  if (isReported) return;
  isReported = true;
  process.stdout.write(`${JSON.stringify(result)}\n`, () => process.exit(0));
}

/** Some SDKs leave a promise alone that then rejects: that is a failure of this run, too. */
process.on('unhandledRejection', (error) => {
  console.error(error);
  process.exit(1);
});
