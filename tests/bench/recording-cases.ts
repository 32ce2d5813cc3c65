import { readFileSync } from 'node:fs';
import { encodeSpeech } from '@voice-fleet/media/encode/encode-speech';
import { writeWav } from '@voice-fleet/speech/wav';
import { aacTrack, mp4Of, words } from '@voice-fleet/testkit/recordings/mp4';
import { opusBomb, opusHead, opusSilence } from '@voice-fleet/testkit/recordings/opus';
import { lacedBlock, simpleBlock, webmOf } from '@voice-fleet/testkit/recordings/webm';

const fixture = (name: string): Buffer =>
  readFileSync(new URL(`../../packages/media/fixtures/tone${name}`, import.meta.url));
/** Of all fixtures. */
const FIXTURE_S = 0.5;
const RATE = 24_000;

type Make = (seconds: number) => Buffer | Promise<Buffer>;

/** Honest files of some length, in each kind that is read. */
export const HONEST: Readonly<Record<string, Make>> = {
  wav: (seconds) => writeWav(tone(seconds), RATE),
  mp3: (seconds) => repeated('.mp3', seconds),
  flac: (seconds) => encoded('flac', seconds),
  opus: (seconds) => encoded('opus', seconds),
  aac: (seconds) => repeated('.aac', seconds),
  'm4a, index first': (seconds) => mp4Of(aac(seconds)),
  'm4a, index last': (seconds) => mp4Of(aac(seconds), { moov: 'last' }),
  webm: (seconds) => opusWebm(Array.from({ length: seconds / 0.12 }, () => simpleBlock(SILENCE))),
};

/** Small files that tell of much. */
export const BOMBS: Readonly<Record<string, () => Buffer>> = {
  'opus, ten hours': () => opusBomb(36_000),
  'opus, ten hours of stereo': () => opusBomb(36_000, 2),
  'opus, eight channels': () => opusBomb(3_600, 8),
  'opus, 255 channels': () => opusBomb(3_600, 255),
  'webm, ten hours': () => opusWebm(Array.from({ length: 300_000 }, () => simpleBlock(SILENCE))),
  'webm, laced': () => opusWebm(Array.from({ length: 1_000 }, () => lacedBlock(opusSilence(256)))),
  'm4a, a billion samples': () => mp4Of(aac(1), { stsz: words(0, 10, 0xffff_fff0) }),
  'm4a, one sample a million times': () => {
    const stco = Buffer.alloc(8 + 4_000_000, words(40));
    stco.writeUInt32BE(0);
    stco.writeUInt32BE(1_000_000, 4);
    return mp4Of(aac(1), { stsz: words(0, 92, 1_000_000), stsc: words(0, 1, 1, 1, 1), stco });
  },
  'amr, silence not sent': () => Buffer.concat([Buffer.from('#!AMR\n'), Buffer.alloc(1e6, 0x7c)]),
  'ogg, pages without end': () =>
    Buffer.concat([fixture('-opus.ogg'), Buffer.alloc(8e6, 'OggS\0\0')]),
};

/** 120 ms of it. */
const SILENCE = Buffer.of((3 << 3) | 1);

function opusWebm(blocks: readonly Buffer[]): Buffer {
  const track = { codec: 'A_OPUS', codecPrivate: opusHead(), sampleRate: 48_000, channels: 1 };
  return webmOf(track, blocks);
}

function repeated(name: string, seconds: number): Buffer {
  return Buffer.concat(Array.from({ length: seconds / FIXTURE_S }, () => fixture(name)));
}

function aac(seconds: number) {
  const track = aacTrack(fixture('.aac'));
  const count = Math.round((seconds * track.sampleRate) / 1_024);
  const { frames } = track;
  const many = Array.from({ length: count }, (_, at) => frames[at % frames.length] as Buffer);
  return { ...track, frames: many };
}

async function encoded(format: 'flac' | 'opus', seconds: number): Promise<Buffer> {
  const options = { format, ffmpeg: '' };
  const bytes: Buffer[] = [];
  for await (const piece of encodeSpeech(pieces(seconds), options, new AbortController().signal))
    bytes.push(piece);
  return Buffer.concat(bytes);
}

async function* pieces(seconds: number): AsyncGenerator<Int16Array> {
  const { buffer, byteOffset, length } = tone(seconds);
  yield new Int16Array(buffer, byteOffset, length / 2);
}

function tone(seconds: number): Buffer {
  const pcm = Int16Array.from({ length: seconds * RATE }, (_, at) => 9_000 * Math.sin(at / 9));
  return Buffer.from(pcm.buffer);
}
