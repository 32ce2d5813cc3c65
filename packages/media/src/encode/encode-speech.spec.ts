import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { readWav } from '@voice-fleet/speech/wav';
import decode from 'audio-decode';
import { encodeSpeech, SPEECH_RATE } from './encode-speech.ts';
import { bytesOf, type SpeechFormat } from './encoder.ts';

const HZ = 440;
const SECONDS = 1.5;

function tone(): Int16Array {
  return Int16Array.from({ length: SPEECH_RATE * SECONDS }, (_, at) =>
    Math.round(12_000 * Math.sin((2 * Math.PI * HZ * at) / SPEECH_RATE)),
  );
}

async function* inPieces(pcm: Int16Array, size: number): AsyncGenerator<Int16Array> {
  for (let at = 0; at < pcm.length; at += size) yield pcm.subarray(at, at + size);
}

async function encoded(format: SpeechFormat, ffmpeg = '/nowhere/ffmpeg'): Promise<Buffer> {
  const pieces: Buffer[] = [];
  const { signal } = new AbortController();
  for await (const piece of encodeSpeech(inPieces(tone(), 997), { format, ffmpeg }, signal))
    pieces.push(piece);
  return Buffer.concat(pieces);
}

/** Swings from well below zero to well above it, in a second: what codecs whisper before and behind the sound is none. */
function pitchOf(samples: Float32Array, sampleRate: number): number {
  let count = 0;
  let isBelow = false;
  for (const sample of samples) {
    if (sample < -0.1) isBelow = true;
    if (sample < 0.1 || !isBelow) continue;
    isBelow = false;
    count += 1;
  }
  return count / (samples.length / sampleRate);
}

describe('speech that is sent', () => {
  it.each(['mp3', 'opus', 'flac'] as const)(
    'as %s is the same sound, of the same length',
    async (format) => {
      const audio = await decode(await encoded(format));
      const [samples] = audio.channelData as Float32Array[];
      if (!samples) throw new Error('no channel');
      const seconds = samples.length / audio.sampleRate;
      expect(Math.abs(seconds - SECONDS)).toBeLessThan(0.12);
      const pitch = pitchOf(samples, audio.sampleRate);
      expect(pitch).toBeGreaterThan(HZ * 0.9);
      expect(pitch).toBeLessThan(HZ * 1.05);
    },
  );

  it('as flac, wav and pcm is sample for sample what was spoken', async () => {
    const pcm = bytesOf(tone());
    expect((await encoded('pcm')).equals(pcm)).toBe(true);
    const wav = readWav(await encoded('wav'));
    expect(wav.sampleRate).toBe(SPEECH_RATE);
    expect(wav.pcm.equals(pcm)).toBe(true);
    const [samples] = (await decode(await encoded('flac'))).channelData as Float32Array[];
    const back = Int16Array.from(samples ?? [], (sample) => Math.round(sample * 32_768));
    expect(bytesOf(back).equals(pcm)).toBe(true);
  });

  it('as opus has pages that a reader of Ogg can follow', async () => {
    const bytes = await encoded('opus');
    const flags: number[] = [];
    for (let at = 0; at < bytes.length; ) {
      expect(bytes.toString('latin1', at, at + 4)).toBe('OggS');
      flags.push(bytes[at + 5] as number);
      const segments = bytes.subarray(at + 27, at + 27 + (bytes[at + 26] as number));
      at += 27 + segments.length + segments.reduce((sum, one) => sum + one, 0);
    }
    expect(flags[0]).toBe(2);
    expect(flags.at(-1)).toBe(4);
    expect(flags.slice(1, -1).every((flag) => flag === 0)).toBe(true);
  });

  it('begins before all of it is there', async () => {
    for (const format of ['mp3', 'opus', 'flac', 'wav', 'pcm'] as const) {
      let asked = 0;
      const endless = async function* (): AsyncGenerator<Int16Array> {
        for (;;) {
          asked += 1;
          yield tone();
        }
      };
      const signal = new AbortController().signal;
      for await (const bytes of encodeSpeech(endless(), { format, ffmpeg: '' }, signal)) {
        expect(bytes.length).toBeGreaterThan(0);
        break;
      }
      expect(asked).toBeLessThanOrEqual(2);
    }
  });

  describe('as aac', () => {
    let folder: string;
    beforeAll(async () => {
      folder = await mkdtemp(join(tmpdir(), 'encode-'));
    });
    afterAll(() => rm(folder, { recursive: true }));

    /** Stands in for ffmpeg. */
    async function program(script: string): Promise<string> {
      const path = join(folder, `program-${script.length}`);
      await writeFile(path, `#!/bin/sh\n${script}\n`, { mode: 0o755 });
      return path;
    }

    it('goes through ffmpeg, which takes the samples and gives the bytes', async () => {
      expect((await encoded('aac', await program('exec cat'))).equals(bytesOf(tone()))).toBe(true);
    });

    it('fails when ffmpeg does', async () => {
      const ffmpeg = await program('cat > /dev/null; echo no such codec >&2; exit 3');
      await expect(encoded('aac', ffmpeg)).rejects.toThrow('ffmpeg ended with 3: no such codec');
    });

    it('leaves no ffmpeg behind when it is told to stop', async () => {
      const ffmpeg = await program('echo $$; exec sleep 600');
      const stop = new AbortController();
      let pid = 0;
      const encoding = (async () => {
        const pcm = inPieces(tone(), 997);
        for await (const bytes of encodeSpeech(pcm, { format: 'aac', ffmpeg }, stop.signal)) {
          pid = Number(bytes.toString());
          stop.abort(new Error('enough'));
        }
      })();
      await expect(encoding).rejects.toThrow('enough');
      expect(() => process.kill(pid, 0)).toThrow('ESRCH');
    });
  });

  it('as aac is refused where there is no ffmpeg', async () => {
    await expect(encoded('aac')).rejects.toMatchObject({ code: 'unsupported_format' });
  });

  it('stops when it is told to', async () => {
    const stop = new AbortController();
    const endless = async function* (): AsyncGenerator<Int16Array> {
      for (;;) yield tone();
    };
    const encoding = (async () => {
      const options = { format: 'wav', ffmpeg: '' } as const;
      for await (const bytes of encodeSpeech(endless(), options, stop.signal))
        if (bytes.length > 0) stop.abort(new Error('enough'));
    })();
    await expect(encoding).rejects.toThrow('enough');
  });
});
