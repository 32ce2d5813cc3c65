import { readFileSync } from 'node:fs';
import { runInThisContext } from 'node:vm';
import { beforeAll, describe, expect, it, jest } from '@jest/globals';
import { aacTrack, box, mp4Of, words } from '@voice-fleet/testkit/recordings/mp4';
import { opusBomb, opusHead, opusSilence } from '@voice-fleet/testkit/recordings/opus';
import { lacedBlock, simpleBlock, webmOf } from '@voice-fleet/testkit/recordings/webm';
import decode from 'audio-decode';
import fc from 'fast-check';
import { Damaged } from './damaged.ts';
import { oggPage, oggSum } from './encode/ogg-page.ts';
import { mp4Fragments } from './mp4-fragments.ts';
import { recordingPieces } from './recording-pieces.ts';
import { type RecordingKind, sniffRecording } from './sniff.ts';

const fixture = (name: string): Buffer =>
  readFileSync(new URL(`../fixtures/tone${name}`, import.meta.url));
const FIXTURES = [
  '.mp3',
  '.flac',
  '-opus.ogg',
  '-vorbis.ogg',
  '.m4a',
  '-stream.mp4',
  '.webm',
  '.aac',
];
/** Values of one piece: 12 MB, as a page of Opus may have. */
const MOST_VALUES = 3_000_000;

/** What a recording is decoded to: its first channel, and how much was in memory at once. Looks at no more than `most` samples. */
async function pieces(file: Buffer, kind?: RecordingKind, most = Number.POSITIVE_INFINITY) {
  const heard: Float32Array[] = [];
  let largest = 0;
  let samples = 0;
  const known = kind ?? sniffRecording(file);
  if (known === undefined) throw new Error('no recording');
  for await (const { channelData } of recordingPieces(known, file)) {
    const [first = new Float32Array(0)] = channelData;
    heard.push(first);
    samples += first.length;
    largest = Math.max(largest, first.length * channelData.length);
    if (samples > most) break;
  }
  return { samples, largest, first: Buffer.concat(heard.map(bytesOf)) };
}

const bytesOf = ({ buffer, byteOffset, byteLength }: Float32Array): Buffer =>
  Buffer.from(buffer, byteOffset, byteLength);

const refusal = async (file: Buffer, kind?: RecordingKind): Promise<string> => {
  const error: unknown = await pieces(file, kind).catch((thrown: unknown) => thrown);
  if (!(error instanceof Damaged)) throw new Error(`not refused: ${String(error)}`);
  return error.message;
};

/** `count` frames, over and over those of the fixture. */
function aac(count: number) {
  const track = aacTrack(fixture('.aac'));
  const { frames } = track;
  const many = Array.from({ length: count }, (_, at) => frames[at % frames.length] as Buffer);
  return { ...track, frames: many };
}

const opusWebm = (blocks: readonly Buffer[], channels = 1): Buffer =>
  webmOf(
    { codec: 'A_OPUS', codecPrivate: opusHead(channels), sampleRate: 48_000, channels },
    blocks,
  );

beforeAll(() => {
  // Jest has one of its own, whose memory is no ArrayBuffer of this one, and decoders ask for that.
  Object.assign(globalThis, { WebAssembly: runInThisContext('WebAssembly') });
  // Decoders write what they think of damaged recordings.
  for (const name of ['error', 'warn'] as const) jest.spyOn(console, name).mockReturnValue();
});

describe('a recording in pieces', () => {
  it.each(FIXTURES)('%s is decoded to the same samples as one given whole', async (name) => {
    const whole = await decode(fixture(name));
    const [channel = new Float32Array(0)] = whole.channelData;
    const { first } = await pieces(fixture(name));
    expect(first.length / 4).toBe(channel.length);
    expect(first.equals(bytesOf(channel))).toBe(true);
  });

  it('is the same wherever an MP4 has its index, and in small pieces', async () => {
    const first = await pieces(mp4Of(aac(100)));
    const last = await pieces(mp4Of(aac(100), { moov: 'last' }));
    expect(first.samples).toBeGreaterThan(98 * 1_024);
    expect([last.samples, last.first.equals(first.first)]).toEqual([first.samples, true]);
    expect(last.largest).toBeLessThanOrEqual(8 * 1_024);
  });

  it('is the same when an MP4 is written in fragments, as browsers do', async () => {
    const whole = await pieces(mp4Of(aac(100)));
    const fragments = await pieces(Buffer.concat([...mp4Fragments(mp4Of(aac(100)))]), 'm4a');
    expect([fragments.samples, fragments.first.equals(whole.first)]).toEqual([whole.samples, true]);
  });

  it.each([
    ['an edit list', { edts: box('edts', box('elst', words(0, 1, 90_000, 2_112, 0x1_0000))) }],
    ['a tag of iTunes', { udta: itunes('00000000 00000840 00000100 000000000000FA00') }],
  ])('leaves out what %s says is no sound', async (_, options) => {
    const file = mp4Of(aac(100), options);
    const whole = await decode(file);
    expect(whole.channelData[0]?.length).toBeLessThan(98 * 1_024);
    expect((await pieces(file)).samples).toBe(whole.channelData[0]?.length);
  });

  it('is the same when FLAC is in Ogg', async () => {
    const flac = await pieces(fixture('.flac'));
    const ogg = await pieces(oggFlac());
    expect([ogg.samples, ogg.first.equals(flac.first)]).toEqual([8_000, true]);
  });

  it('stays small when it is silence of Opus: two bytes for 120 ms', async () => {
    const { samples, largest } = await pieces(opusBomb(3_600, 2), 'opus', 2_000_000);
    expect(samples).toBeGreaterThan(2_000_000);
    expect(largest).toBeLessThanOrEqual(2 * 255 * 5_760);
    expect(await refusal(opusBomb(60, 8))).toMatch(/^one of its pages has 255 packets$/);
    expect(await refusal(opusBomb(60, 255))).toBe('it has 255 channels, more than 8');
  });

  it('stays small when it is silence in WebM', async () => {
    const single = Array.from({ length: 3_000 }, () => simpleBlock(Buffer.of((3 << 3) | 1)));
    const { samples, largest } = await pieces(opusWebm(single, 2), 'webm');
    expect([samples, largest]).toEqual([3_000 * 5_760, 2 * 5_760]);
    expect(await refusal(opusWebm([lacedBlock(opusSilence(256))]))).toMatch(/has 256 frames$/);
    expect(await refusal(opusWebm(single, 9))).toBe('it has 9 channels, more than 8');
  });

  it.each([
    ['sizes', { stsz: words(0, 10, 0xffff_fff0) }],
    ['chunks', { stco: words(0, 0xffff_fff0, 48) }],
    ['runs', { stsc: words(0, 0xffff_fff0, 1, 0xffff_ffff, 1) }],
    ['edits', { edts: box('edts', box('elst', words(0, 0xffff_fff0, 0, 0, 0x1_0000))) }],
  ])('does not believe an MP4 that tells of four thousand million %s', async (_, options) => {
    const outcome = await pieces(mp4Of(aac(10), options)).then(
      ({ samples }) => samples,
      (error: unknown) => error,
    );
    if (typeof outcome === 'number') expect(outcome).toBeLessThanOrEqual(10 * 1_024);
    else expect(outcome).toBeInstanceOf(Damaged);
  });

  it('whose index names the same bytes over and over is refused', async () => {
    const { frames } = aac(1);
    const count = 100_000;
    const stco = Buffer.alloc(8 + 4 * count);
    stco.writeUInt32BE(count, 4);
    for (let at = 0; at < count; at += 1) stco.writeUInt32BE(40, 8 + 4 * at);
    const file = mp4Of(aac(10), {
      stsz: words(0, frames[0]?.length ?? 0, count),
      stsc: words(0, 1, 1, 1, 1),
      stco,
    });
    expect(await refusal(file)).toBe('its index tells of more than there is');
  });

  it('that is AMR is one frame behind the other, to the end', async () => {
    const amr = (...bytes: number[]): Buffer =>
      Buffer.concat([Buffer.from('#!AMR\n'), Buffer.from(bytes)]);
    // Silence that was not sent, and a frame of which the end is missing.
    expect((await pieces(amr(...Array<number>(50).fill(0x7c), 0x3c, 0))).samples).toBe(50 * 160);
    expect(await refusal(amr(0x7c, 0x7d, 0x7c))).toBe(
      'it is damaged: at byte 7 there is no frame of AMR',
    );
    expect(await refusal(Buffer.from('#!AMR and so on'))).toMatch(/more than one channel, or none/);
    expect(await refusal(Buffer.concat([Buffer.from('#!AMR-WB\n'), Buffer.from('junk')]))).toMatch(
      /damaged/,
    );
  });

  it('that is CAF or AIFF is refused for what no decoder should make room for', async () => {
    const caf = (codec: string, ...numbers: number[]): Buffer => {
      const desc = Buffer.concat([Buffer.alloc(8), Buffer.from(codec), words(0, ...numbers)]);
      desc.writeDoubleBE(8_000);
      const data = Buffer.concat([Buffer.from('data'), words(0, 404, 0), Buffer.alloc(400, 1)]);
      return Buffer.concat([
        Buffer.from('caff'),
        words(0x1_0000),
        Buffer.from('desc'),
        words(0, 32),
        desc,
        data,
      ]);
    };
    expect((await pieces(caf('lpcm', 2, 1, 1, 16))).samples).toBe(200);
    expect(await refusal(caf('lpcm', 400, 1, 400, 8))).toBe('it has 400 channels, more than 8');
    expect(await refusal(caf('ima4', 34, 0x1000_0000, 1, 0))).toMatch(/have 268435456 samples/);
    const comm = Buffer.from('000000000000400bfa0000000000000000', 'hex');
    const aiff = (channels: number, bits: number): Buffer => {
      const head = Buffer.concat([Buffer.alloc(8), comm, Buffer.of(0)]).subarray(0, 18);
      head.writeUInt16BE(channels);
      head.writeUInt32BE(200, 2);
      head.writeUInt16BE(bits, 6);
      const chunks = [
        Buffer.from('AIFFCOMM'),
        words(18),
        head,
        Buffer.from('SSND'),
        words(408, 0, 0),
      ];
      const body = Buffer.concat([...chunks, Buffer.alloc(400, 1)]);
      return Buffer.concat([Buffer.from('FORM'), words(body.length), body]);
    };
    expect((await pieces(aiff(1, 16))).samples).toBe(200);
    expect(await refusal(aiff(60_000, 16))).toBe('it has 60000 channels, more than 8');
    expect(await refusal(aiff(1, 0))).toBe('its samples have 0 bits');
  });

  it('that begins like a page of Ogg everywhere is given up soon', async () => {
    const [head = Buffer.alloc(0)] = [fixture('-opus.ogg').subarray(0, 60)];
    expect(await refusal(Buffer.concat([head, Buffer.alloc(300_000, 'OggS\0\0')]))).toBe(
      'it is damaged',
    );
  });

  it.each([...FIXTURES, 'FLAC in Ogg'])(
    '%s with any damage ends in sound or in an error',
    async (name) => {
      const whole = name.startsWith('FLAC') ? oggFlac() : fixture(name);
      const others = FIXTURES.map(fixture);
      const place = fc.nat(whole.length - 1);
      const damage = fc.record({
        bytes: fc.array(fc.tuple(fc.oneof(place, fc.nat(200)), fc.nat(255)), { maxLength: 8 }),
        end: fc.option(place, { nil: undefined }),
        splice: fc.option(fc.tuple(fc.constantFrom(...others), fc.nat(4_000), place), {
          nil: undefined,
        }),
        mendSums: fc.boolean(),
      });
      await fc.assert(
        fc.asyncProperty(damage, async ({ bytes, end, splice, mendSums }) => {
          let file = Buffer.from(whole);
          for (const [at, byte] of bytes) file[Math.min(at, file.length - 1)] = byte;
          if (splice) {
            const [other, from, at] = splice;
            file = Buffer.concat([file.subarray(0, at), other.subarray(from), file.subarray(at)]);
          }
          file = file.subarray(0, end);
          if (mendSums) mend(file);
          const outcome = await pieces(file, sniffRecording(whole)).catch(
            (error: unknown) => error,
          );
          if (outcome instanceof Error) return;
          expect((outcome as { largest: number }).largest).toBeLessThan(MOST_VALUES);
        }),
        { numRuns: 40 },
      );
    },
  );
});

/** What iTunes writes about the silence of its encoder. */
function itunes(text: string): Buffer {
  const name = box('name', words(0), Buffer.from('iTunSMPB'));
  const mean = box('mean', words(0), Buffer.from('com.apple.iTunes'));
  const data = box('data', words(1, 0), Buffer.from(` ${text}`));
  const picture = box('covr', box('data', words(13, 0), Buffer.alloc(5_000, 0xff)));
  return box('udta', box('meta', words(0), box('ilst', picture, box('----', mean, name, data))));
}

/** The frames of the fixture, each in a packet. */
function oggFlac(): Buffer {
  const flac = fixture('.flac');
  const info = flac.subarray(4, 42);
  info[0] = (info[0] ?? 0) & 0x7f;
  const head = Buffer.concat([
    Buffer.of(0x7f),
    Buffer.from('FLAC\x01\0\0\x01fLaC', 'latin1'),
    info,
  ]);
  const comment = Buffer.concat([Buffer.of(0x84, 0, 0, 8), Buffer.alloc(8)]);
  const starts: number[] = [];
  for (let at = flac.indexOf('fff8', 42, 'hex'); at >= 0; at = flac.indexOf('fff8', at + 2, 'hex'))
    if ((flac[at + 4] ?? 0) === starts.length) starts.push(at);
  const page = (packet: Buffer, sequence: number, isLast = false): Buffer =>
    oggPage({
      serial: 7,
      sequence,
      granule: 0,
      packets: [packet],
      isFirst: sequence === 0,
      isLast,
    });
  const frames = starts.map((at, nth) => flac.subarray(at, starts[nth + 1]));
  return Buffer.concat([
    page(head, 0),
    page(comment, 1),
    ...frames.map((frame, nth) => page(frame, nth + 2, nth + 1 === frames.length)),
  ]);
}

/** So that decoders see what is in a damaged page. */
function mend(ogg: Buffer): void {
  for (
    let at = ogg.indexOf('OggS');
    at >= 0 && at + 27 < ogg.length;
    at = ogg.indexOf('OggS', at + 4)
  ) {
    const segments = ogg[at + 26] ?? 0;
    let end = at + 27 + segments;
    for (const length of ogg.subarray(at + 27, at + 27 + segments)) end += length;
    if (end <= ogg.length) ogg.writeUInt32LE(oggSum(ogg.subarray(at, end)), at + 22);
  }
}
