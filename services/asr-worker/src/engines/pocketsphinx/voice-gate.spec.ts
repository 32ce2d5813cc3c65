import { describe, expect, it } from '@jest/globals';
import { VoiceGate } from './voice-gate.ts';

/** `seconds` of a sound whose root mean square is the amplitude. */
function sound(seconds: number, amplitude: number): Int16Array {
  return new Int16Array(seconds * 16_000).map((_, at) => (at % 8 < 4 ? amplitude : -amplitude));
}

function voicedShare(...sounds: Int16Array[]): number[] {
  const gate = new VoiceGate();
  return sounds.map((samples) => {
    const before = gate.voicedFrames;
    gate.observe(samples);
    return (gate.voicedFrames - before) / (samples.length / 160);
  });
}

describe('VoiceGate', () => {
  it('hears speech, loud and soft, between silences', () => {
    expect(voicedShare(sound(1, 0), sound(1, 3_000), sound(1, 0), sound(1, 200))).toEqual([
      0, 1, 0, 1,
    ]);
  });

  it('hears speech that starts at once', () => {
    expect(voicedShare(sound(1, 1_000))).toEqual([1]);
  });

  it('does not take steady noise for speech, and hears speech above it', () => {
    expect(voicedShare(sound(5, 150), sound(1, 2_000))).toEqual([0, 1]);
  });

  it('learns a louder background', () => {
    const [, later] = voicedShare(sound(5, 600), sound(1, 600));
    expect(later).toBe(0);
  });
});
