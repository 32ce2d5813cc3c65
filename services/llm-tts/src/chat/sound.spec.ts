import { describe, expect, it } from '@jest/globals';
import { readWav, writeWav } from '@voice-fleet/speech/wav';
import { hear } from './sound.ts';

const LIMITS = { maxAudioMs: 2_000, silenceRms: 0.005 };
const { signal } = new AbortController();

/** A square wave, whose level is its amplitude. */
function square(amplitude: number, samples = 16_000, rate = 16_000): Buffer {
  const pcm = Buffer.alloc(2 * samples);
  for (let at = 0; at < samples; at += 1)
    pcm.writeInt16LE(Math.floor(at / 20) % 2 ? amplitude : -amplitude, 2 * at);
  return writeWav(pcm, rate);
}

/** The same samples as floats. */
function asFloats(wav: Buffer): Buffer {
  const { pcm, sampleRate } = readWav(wav);
  const data = Buffer.alloc(2 * pcm.length);
  for (let at = 0; at < pcm.length; at += 2)
    data.writeFloatLE(pcm.readInt16LE(at) / 32_768, 2 * at);
  const file = Buffer.concat([writeWav(Buffer.alloc(0), sampleRate), data]);
  file.writeUInt16LE(3, 20);
  file.writeUInt16LE(32, 34);
  file.writeUInt32LE(data.length, 40);
  file.writeUInt32LE(file.length - 8, 4);
  return file;
}

describe('hear', () => {
  it.each([
    ['no file at all', Buffer.alloc(0)],
    ['a file without a sample', writeWav(Buffer.alloc(0), 16_000)],
    ['digital silence', square(0)],
    ['less than 0.005 of full scale', square(163)],
  ])('C8: takes %s for silence', async (_, file) => {
    expect(await hear(file, LIMITS, signal)).toEqual({ kind: 'silence' });
  });

  it('C8: takes what is at the threshold for speech, and floats that are no numbers for silence', async () => {
    expect((await hear(square(164), LIMITS, signal)).kind).toBe('speech');
    const file = asFloats(square(9_000, 100));
    for (let at = 44; at < file.length; at += 4) file.writeFloatLE(Number.NaN, at);
    expect(await hear(file, LIMITS, signal)).toEqual({ kind: 'silence' });
  });

  it.each([16_000, 44_100])('C16: makes the same of floats as of PCM16, at %i Hz', async (rate) => {
    const file = square(9_000, rate, rate);
    const heard = await hear(file, LIMITS, signal);
    expect(await hear(asFloats(file), LIMITS, signal)).toEqual(heard);
    if (heard.kind !== 'speech') throw new Error('not heard');
    expect(heard.durationMs).toBe(1_000);
    expect(readWav(heard.wav)).toMatchObject({ sampleRate: 16_000, channels: 1 });
    expect(readWav(heard.wav).pcm).toHaveLength(32_000);
  });

  it('C10: says why it cannot decode something', async () => {
    expect(await hear(Buffer.from('this is no audio'), LIMITS, signal)).toMatchObject({
      kind: 'undecodable',
      reason: expect.stringMatching(/does not start with RIFF/),
    });
  });

  it('refuses what is too long', async () => {
    await expect(hear(square(9_000, 32_001), LIMITS, signal)).rejects.toMatchObject({
      code: 'message_too_large',
    });
  });

  it('stops amid the decoding when nobody waits any more', async () => {
    const caller = new AbortController();
    const hearing = hear(square(9_000, 32_000), LIMITS, caller.signal);
    caller.abort(new Error('gone'));
    await expect(hearing).rejects.toThrow();
  });
});
