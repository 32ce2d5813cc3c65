import { readFileSync } from 'node:fs';
import { describe, expect, it } from '@jest/globals';
import { VoiceError } from '@voice-fleet/protocol/errors';
import { SAMPLE_RATE } from '@voice-fleet/speech/pcm';
import { decodeInThread } from './decode-in-thread.ts';
import { decodeRecording } from './decode-recording.ts';
import { sniffRecording } from './sniff.ts';

const never = new AbortController().signal;
const LIMITS = { ffmpeg: '/nowhere/ffmpeg', maxDurationMs: 2_000 };
const fixture = (name: string): Buffer =>
  readFileSync(new URL(`../fixtures/tone${name}`, import.meta.url));

/** How often the middle of a recording crosses zero from below in a second, and its level (RMS) from 0 to 1. */
function heard(pcm: Buffer): { hertz: number; level: number } {
  const samples = new Int16Array(pcm.buffer, pcm.byteOffset, pcm.length / 2);
  const middle = samples.subarray(0.1 * SAMPLE_RATE, 0.4 * SAMPLE_RATE);
  let crossings = 0;
  let power = 0;
  for (const [at, sample] of middle.entries()) {
    if (sample >= 0 && (middle[at - 1] ?? 0) < 0) crossings += 1;
    power += sample ** 2 / middle.length;
  }
  return { hertz: crossings / 0.3, level: Math.sqrt(power) / 32_768 };
}
const fault = async (decoded: Promise<unknown>): Promise<VoiceError> => {
  const error: unknown = await decoded.catch((thrown: unknown) => thrown);
  if (!(error instanceof VoiceError)) throw new Error(`no VoiceError: ${String(error)}`);
  return error;
};

describe('without ffmpeg a recording', () => {
  it.each([
    ['.mp3', 'mp3'],
    ['.flac', 'flac'],
    ['-opus.ogg', 'opus'],
    ['-vorbis.ogg', 'oga'],
    ['.m4a', 'm4a'],
    ['-stream.mp4', 'm4a'],
    ['.webm', 'webm'],
    ['.aac', 'aac'],
  ])('%s is read for what it is', async (name, kind) => {
    const bytes = fixture(name);
    expect(sniffRecording(bytes)).toBe(kind);
    const pcm = await decodeRecording(bytes, LIMITS, never);
    const { hertz, level } = heard(pcm);
    expect(Math.abs(hertz - 440)).toBeLessThan(12);
    expect(Math.abs(level - 0.5 / Math.SQRT2)).toBeLessThan(0.07);
    // Some kinds have a little silence before and behind.
    expect(Math.abs(pcm.length / 2 / SAMPLE_RATE - 0.5)).toBeLessThan(0.15);
  });

  it('is read behind a tag', () => {
    const tag = Buffer.from([0x49, 0x44, 0x33, 4, 0, 0, 0, 0, 1, 0]);
    const tagged = (rest: Buffer): Buffer => Buffer.concat([tag, Buffer.alloc(128), rest]);
    expect(sniffRecording(tagged(fixture('.flac')))).toBe('flac');
    expect(sniffRecording(tagged(fixture('.aac')))).toBe('aac');
    expect(sniffRecording(tag)).toBe('mp3');
  });

  it('that is longer than it may be is refused, and not decoded to its end', async () => {
    const limits = { ...LIMITS, maxDurationMs: 200 };
    expect((await fault(decodeRecording(fixture('.flac'), limits, never))).code).toBe(
      'message_too_large',
    );
  });

  it('that is damaged is refused, or yields what can be read of it', async () => {
    for (const name of ['.mp3', '.flac', '-opus.ogg', '.m4a', '.webm', '.aac']) {
      const bytes = Buffer.from(fixture(name));
      bytes.fill(0xa5, 60);
      const outcome = await decodeRecording(bytes, LIMITS, never).then(
        (pcm) => (pcm.length < 2 * SAMPLE_RATE ? 'read' : 'made up'),
        (error: unknown) => (error instanceof VoiceError ? error.code : error),
      );
      expect(['invalid_audio', 'read']).toContain(outcome);
    }
    const cut = await fault(decodeRecording(fixture('.m4a').subarray(0, 1_000), LIMITS, never));
    expect([cut.status, cut.message]).toEqual([400, expect.stringContaining('so it is cut off')]);
    const head = await fault(decodeRecording(fixture('.flac').subarray(0, 60), LIMITS, never));
    expect([head.code, head.message]).toEqual([
      'invalid_audio',
      'The recording cannot be decoded: there is no audio in it that can be read',
    ]);
  });

  it('whose client has gone is let go, with its thread', async () => {
    const gone = new AbortController();
    const decoded = fault(decodeInThread('flac', fixture('.flac'), LIMITS, gone.signal));
    gone.abort();
    expect((await decoded).code).toBe('cancelled');
  });
});
