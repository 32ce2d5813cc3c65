import { describe, expect, it } from '@jest/globals';
import { EnergyVad, FRAME_SAMPLES } from './energy-vad.ts';

/** A square wave; at 3000 a near voice, at 30 a quiet room. */
function sound(ms: number, amplitude: number): Buffer {
  const pcm = Buffer.alloc(ms * 32);
  for (let at = 0; at < pcm.length; at += 2)
    pcm.writeInt16LE(at % 64 < 32 ? amplitude : -amplitude, at);
  return pcm;
}

/** Frames as `v` or `.`. */
function judged(...parts: Buffer[]): string {
  let frames = '';
  const stream = new EnergyVad().open((from, until, voiced) => {
    expect([from, until]).toEqual([
      frames.length * FRAME_SAMPLES,
      (frames.length + 1) * FRAME_SAMPLES,
    ]);
    frames += voiced ? 'v' : '.';
  });
  for (const part of parts) stream.push(part);
  return frames;
}

describe('EnergyVad', () => {
  it('tells a voice from a quiet room and from digital silence', () => {
    expect(judged(sound(320, 30), sound(320, 3_000), sound(320, 0))).toBe(
      `${'.'.repeat(10)}${'v'.repeat(10)}${'.'.repeat(10)}`,
    );
  });

  it('takes no click of 8 ms for a voice', () => {
    expect(judged(sound(320, 30), sound(8, 20_000), sound(320, 30))).not.toContain('v');
  });

  it('gets used to steady noise, and hears a voice above it', () => {
    const frames = judged(sound(9_600, 300), sound(320, 3_000));
    expect(frames.slice(150, 300)).not.toContain('v');
    expect(frames.slice(300)).toBe('v'.repeat(10));
  });

  it('says nothing of a stream that was closed', () => {
    let told = 0;
    const stream = new EnergyVad().open(() => {
      told += 1;
      stream.close();
    });
    stream.push(sound(320, 3_000));
    expect(told).toBe(1);
  });
});
