import { describe, expect, it } from '@jest/globals';
import { SAMPLE_RATE } from '@voice-fleet/speech/pcm';
import { AudioSource } from './audio-source.ts';

/** Audio of which each sample tells where it lies on the clock, in steps of 100 ms. */
function audio(fromSample: number, samples: number): Buffer {
  const pcm = Buffer.alloc(samples * 2);
  for (let at = 0; at < samples; at += 1)
    pcm.writeInt16LE(1 + Math.floor((fromSample + at) / 1_600), at * 2);
  return pcm;
}

/** All that waits: where each piece began, and its samples. */
function readAll(source: AudioSource): { fromSample: number; pcm: Buffer }[] {
  const pieces = [];
  while (source.samples > 0) {
    const fromSample = source.cursor;
    pieces.push({ fromSample, pcm: Buffer.from(source.read(Number.POSITIVE_INFINITY) ?? []) });
  }
  return pieces;
}

function newSource(replaySamples: number): AudioSource {
  return new AudioSource({ fromSample: 0, maxBacklogSamples: SAMPLE_RATE, replaySamples });
}

/** One second is read, one dropped, one read. */
function withGap(replaySamples: number): AudioSource {
  const source = newSource(replaySamples);
  expect(source.push(audio(0, SAMPLE_RATE))).toBe(0);
  readAll(source);
  expect(source.push(audio(SAMPLE_RATE, SAMPLE_RATE))).toBe(0);
  expect(source.push(audio(2 * SAMPLE_RATE, SAMPLE_RATE))).toBe(SAMPLE_RATE);
  readAll(source);
  return source;
}

describe('AudioSource', () => {
  it('is read again from where it is told, and goes on with what waits', () => {
    const source = newSource(10 * SAMPLE_RATE);
    source.push(audio(0, SAMPLE_RATE));
    readAll(source);
    source.push(audio(SAMPLE_RATE, SAMPLE_RATE));
    expect(source.rewind(0.5 * SAMPLE_RATE, 0.7 * SAMPLE_RATE)).toBe(0);
    expect([source.cursor, source.samples]).toEqual([0.5 * SAMPLE_RATE, 1.5 * SAMPLE_RATE]);
    const again = Buffer.concat(readAll(source).map(({ pcm }) => pcm));
    expect(again).toEqual(audio(0.5 * SAMPLE_RATE, 1.5 * SAMPLE_RATE));
  });

  it('says how much of what is needed it no longer has', () => {
    const source = newSource(SAMPLE_RATE);
    source.push(audio(0, 3 * SAMPLE_RATE));
    readAll(source);
    expect(source.rewind(SAMPLE_RATE, 1.5 * SAMPLE_RATE)).toBe(0.5 * SAMPLE_RATE);
    expect(source.cursor).toBe(2 * SAMPLE_RATE);
    expect(source.rewind(SAMPLE_RATE, 2 * SAMPLE_RATE)).toBe(0);
  });

  it('still has what was read before audio was dropped, with silence for that', () => {
    const source = withGap(10 * SAMPLE_RATE);
    expect(source.rewind(0, 0)).toBe(0);
    const pieces = readAll(source);
    for (const [nth, { fromSample, pcm }] of pieces.entries()) {
      expect(fromSample).toBe(nth * 1_600);
      const isDropped = fromSample >= SAMPLE_RATE && fromSample < 2 * SAMPLE_RATE;
      expect(pcm).toEqual(isDropped ? Buffer.alloc(3_200) : audio(fromSample, 1_600));
    }
    expect(pieces).toHaveLength(30);
  });

  it('does not count again what was dropped before it was read, but what it had to forget for that', () => {
    const source = withGap(SAMPLE_RATE);
    expect(source.rewind(0, 0.75 * SAMPLE_RATE)).toBe(0.25 * SAMPLE_RATE);
    expect(source.cursor).toBe(2 * SAMPLE_RATE);
    expect(source.rewind(0, 1.5 * SAMPLE_RATE)).toBe(0);
  });

  it('lets as much wait as it could replay while it is patient', () => {
    const source = newSource(3 * SAMPLE_RATE);
    source.patient = true;
    for (let second = 0; second < 3; second += 1)
      expect(source.push(audio(second * SAMPLE_RATE, SAMPLE_RATE))).toBe(0);
    source.patient = false;
    expect(source.push(audio(3 * SAMPLE_RATE, SAMPLE_RATE))).toBe(3 * SAMPLE_RATE);
  });

  it('drops nothing of what is owed from before, and of what comes behind it as usual', () => {
    const source = new AudioSource({
      fromSample: SAMPLE_RATE,
      liveSample: 4 * SAMPLE_RATE,
      maxBacklogSamples: SAMPLE_RATE,
      replaySamples: 10 * SAMPLE_RATE,
    });
    // Pieces that do not end where the owed part does.
    let dropped = 0;
    for (let at = 1; at < 7; at += 0.75)
      dropped += source.push(audio(at * SAMPLE_RATE, 0.75 * SAMPLE_RATE));
    expect([dropped, source.samples]).toEqual([2 * SAMPLE_RATE, 4 * SAMPLE_RATE]);
    expect([source.owes, source.cursor, source.readSample]).toEqual([
      true,
      SAMPLE_RATE,
      SAMPLE_RATE,
    ]);
    const pieces = readAll(source);
    expect(pieces.map(({ fromSample }) => fromSample)).toEqual([
      ...Array.from({ length: 30 }, (_, nth) => SAMPLE_RATE + nth * 1_600),
      ...Array.from({ length: 10 }, (_, nth) => 6 * SAMPLE_RATE + nth * 1_600),
    ]);
    for (const { fromSample, pcm } of pieces) expect(pcm).toEqual(audio(fromSample, 1_600));
    expect(source.owes).toBe(false);
    // What was dropped is silence when all is read again.
    expect(source.rewind(3.9 * SAMPLE_RATE, 3.9 * SAMPLE_RATE)).toBe(0);
    expect(readAll(source)[1]?.pcm).toEqual(Buffer.alloc(3_200));
  });

  it('owes audio that is still to come', () => {
    const source = new AudioSource({
      fromSample: 0,
      liveSample: SAMPLE_RATE,
      maxBacklogSamples: SAMPLE_RATE,
      replaySamples: SAMPLE_RATE,
    });
    source.push(audio(0, 1_600));
    readAll(source);
    expect([source.owes, source.samples, source.readSample]).toEqual([true, 0, 1_600]);
    source.push(audio(1_600, SAMPLE_RATE - 1_600));
    readAll(source);
    expect([source.owes, source.readSample]).toEqual([false, SAMPLE_RATE]);
  });
});
