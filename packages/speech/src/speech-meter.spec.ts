import { describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import { BYTES_PER_SAMPLE, msToSamples } from './pcm.ts';
import { SpeechMeter } from './speech-meter.ts';

/** A square wave: the level of a near voice at 3000, of a quiet room at 30. */
function sound(ms: number, amplitude: number): Buffer {
  const pcm = Buffer.alloc(msToSamples(ms) * BYTES_PER_SAMPLE);
  for (let at = 0; at < pcm.length; at += 2) {
    pcm.writeInt16LE(at % 64 < 32 ? amplitude : -amplitude, at);
  }
  return pcm;
}

function measured(...parts: Buffer[]): [voicedMs: number, pauseMs: number] {
  const meter = new SpeechMeter();
  for (const part of parts) meter.observe(part);
  return [meter.voicedSamples / 16, meter.pauseSamples / 16];
}

describe('SpeechMeter', () => {
  it('tells a voice from a quiet room and from digital silence', () => {
    expect(measured(sound(500, 30))).toEqual([0, 500]);
    expect(measured(sound(500, 0))).toEqual([0, 500]);
    expect(measured(sound(500, 3_000))).toEqual([500, 0]);
  });

  it('measures a pause from the last voice on', () => {
    expect(measured(sound(300, 30), sound(400, 3_000), sound(250, 30))).toEqual([400, 250]);
    expect(measured(sound(400, 3_000), sound(250, 30), sound(10, 3_000))).toEqual([410, 0]);
  });

  it('gets used to steady noise', () => {
    const [voicedMs, pauseMs] = measured(sound(10_000, 300));
    expect(voicedMs).toBeLessThan(3_000);
    expect(pauseMs).toBeGreaterThan(5_000);
  });

  it('says the same however the audio is cut', () => {
    const all = Buffer.concat([sound(95, 30), sound(205, 3_000), sound(133, 30), sound(40, 2_000)]);
    fc.assert(
      fc.property(fc.array(fc.integer({ min: 1, max: 2_000 }), { maxLength: 40 }), (samples) => {
        const parts: Buffer[] = [];
        let at = 0;
        for (const count of samples) {
          parts.push(all.subarray(at, at + count * 2));
          at += count * 2;
        }
        parts.push(all.subarray(at));
        expect(measured(...parts)).toEqual(measured(all));
      }),
    );
  });
});
