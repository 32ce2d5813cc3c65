import { describe, expect, it } from '@jest/globals';
import type { RawWord } from './decoder.ts';
import { isImagined, spokenWords } from './hypothesis.ts';
import { VoiceGate } from './voice-gate.ts';

/** A second of silence, then a second of voice. */
function gateOf(voicedFrames = 100): VoiceGate {
  const gate = new VoiceGate();
  gate.observe(new Int16Array(16_000));
  gate.observe(new Int16Array(voicedFrames * 160).map((_, at) => (at % 80 < 40 ? 3_000 : -3_000)));
  return gate;
}

function raw(text: string, fromFrame: number, toFrame: number, posterior?: number): RawWord {
  return { text, fromFrame, toFrame, ...(posterior !== undefined && { posterior }) };
}

describe('spokenWords', () => {
  it('drops markers and pronunciation variants', () => {
    const words = ['<s>', 'was(2)', '<sil>', '[SPEECH]', '++NOISE++', "it's", '</s>'];
    const heard = words.map((text, at) => raw(text, 100 + at * 10, 110 + at * 10));
    expect(spokenWords(heard, gateOf(), 0, 32_000).map((word) => word.text)).toEqual([
      'was',
      "it's",
    ]);
  });

  it('drops words where nobody spoke', () => {
    const heard = [raw('if', 20, 60), raw('yes', 120, 150)];
    expect(spokenWords(heard, gateOf(), 0, 32_000).map((word) => word.text)).toEqual(['yes']);
  });

  it('counts samples from the start of the stream and stays inside it', () => {
    expect(spokenWords([raw('yes', 20, 151, 0.7)], gateOf(), 8_000, 31_000)).toEqual([
      { text: 'yes', startSample: 11_200, endSample: 31_000, confidence: 0.7 },
    ]);
  });
});

describe('isImagined', () => {
  it('doubts weak words of a short sound only', () => {
    const word = { text: 'if', startSample: 0, endSample: 1_600 };
    expect(isImagined([{ ...word, confidence: 0.2 }], gateOf(20))).toBe(true);
    expect(isImagined([{ ...word, confidence: 0.8 }], gateOf(20))).toBe(false);
    expect(isImagined([{ ...word, confidence: 0.2 }], gateOf(40))).toBe(false);
  });
});
