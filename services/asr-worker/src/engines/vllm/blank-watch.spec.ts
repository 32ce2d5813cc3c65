import { describe, expect, it } from '@jest/globals';
import { BlankWatch } from './blank-watch.ts';

const FRAME_BYTES = 2 * 1_280;

/** Syllables of 320 ms with 80 ms between, as people talk. */
function audio(frames: number, amplitude: number): Buffer {
  const pcm = Buffer.alloc(frames * FRAME_BYTES);
  for (let at = 0; at < pcm.length; at += 2) {
    const level = Math.floor(at / FRAME_BYTES) % 5 === 4 ? 20 : amplitude;
    pcm.writeInt16LE(at % 64 < 32 ? level : -level, at);
  }
  return pcm;
}

const SPEECH = 4_000;

describe('BlankWatch', () => {
  it('finds a run of empty deltas over speech', () => {
    const watch = new BlankWatch(0);
    watch.onAudio(audio(100, SPEECH));
    expect(watch.isRut(58, 48)).toBe(false);
    expect(watch.isRut(70, 60)).toBe(true);
  });

  it('takes silence and pauses for what they are', () => {
    const watch = new BlankWatch(0);
    watch.onAudio(audio(40, SPEECH));
    watch.onAudio(audio(300, 20));
    expect(watch.isRut(300, 240)).toBe(false);
    expect(watch.isRut(100, 84)).toBe(false);
  });

  it('judges only audio that was sent', () => {
    const watch = new BlankWatch(0);
    watch.onAudio(audio(60, SPEECH));
    expect(watch.isRut(72, 72)).toBe(false);
  });

  it('waits four times longer after each stream that was given up for it', () => {
    const watch = new BlankWatch(1);
    watch.onAudio(audio(300, SPEECH));
    expect(watch.isRut(240, 228)).toBe(false);
    expect(watch.isRut(252, 240)).toBe(true);
  });

  it('remembers as far back as it must, however long the stream and however it is cut', () => {
    const watch = new BlankWatch(0);
    const pcm = audio(25, SPEECH);
    for (let round = 0; round < 200; round += 1)
      for (let at = 0; at < pcm.length; at += 1_000) watch.onAudio(pcm.subarray(at, at + 1_000));
    expect(watch.isRut(4_980, 60)).toBe(true);
    expect(watch.isRut(4_980, 948)).toBe(true);
    expect(watch.isRut(4_990, 1_020)).toBe(false);
  });
});
