import { describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import {
  CodedListener,
  frames,
  GAP_SAMPLES,
  type ListenerOptions,
  range,
  SLOT_SAMPLES,
  silence,
  speak,
  transcript,
  WORD_SAMPLES,
} from './coded-speech.ts';

/** What is heard in each frame, empty frames included. */
function hear(pcm: Buffer, options?: ListenerOptions): (readonly string[])[] {
  const listener = new CodedListener(options);
  return frames(pcm).map((frame) => listener.hear(frame));
}

function words(pcm: Buffer, options?: ListenerOptions): string[] {
  return hear(Buffer.concat([pcm, silence(80)]), options).flat();
}

/** Something like a voice: no two neighbours are equal. */
function tone(samples: number, amplitude: number): Buffer {
  const pcm = Buffer.alloc(samples * 2);
  for (let at = 0; at < samples; at += 1)
    pcm.writeInt16LE(Math.round(amplitude * Math.sin(at / 3)), at * 2);
  return pcm;
}

describe('speak', () => {
  it('gives each word 320 ms of its own value and 80 ms of zeros', () => {
    const pcm = speak([7, 300]);
    expect(pcm.length).toBe(2 * SLOT_SAMPLES * 2);
    const values = [0, WORD_SAMPLES - 1, WORD_SAMPLES, SLOT_SAMPLES, SLOT_SAMPLES + WORD_SAMPLES];
    expect(values.map((sample) => pcm.readInt16LE(sample * 2))).toEqual([7, 7, 0, 300, 0]);
    expect([WORD_SAMPLES, GAP_SAMPLES]).toEqual([5_120, 1_280]);
  });
});

describe('CodedListener', () => {
  it('says a word in the frame in which it ends', () => {
    const heard = hear(speak([1, 2]));
    expect(heard).toEqual([[], [], [], ['w1'], [], [], [], [], ['w2'], []]);
  });

  it('says a word that begins anywhere in the frame that holds its last sample', () => {
    fc.assert(
      fc.property(fc.integer({ min: 0, max: 2_559 }), (offset) => {
        const pcm = Buffer.concat([Buffer.alloc(offset * 2), speak([5]), silence(160)]);
        const lastFrame = Math.floor((offset + WORD_SAMPLES - 1) / 1_280);
        const heard = hear(pcm);
        expect(heard.findIndex((said) => said.length > 0)).toBe(lastFrame);
        expect(heard.flat()).toEqual(['w5']);
      }),
      { numRuns: 60 },
    );
  });

  it('understands any words in chunks of any size', () => {
    const word = fc.integer({ min: 1, max: 32_767 });
    fc.assert(
      fc.property(
        fc.array(word, { maxLength: 8 }),
        fc.integer({ min: 1, max: 4_000 }),
        (said, n) => {
          const listener = new CodedListener();
          const pcm = speak(said);
          const heard: string[] = [];
          for (let at = 0; at < pcm.length; at += n * 2)
            heard.push(...listener.hear(pcm.subarray(at, at + n * 2)));
          expect(heard.join(' ')).toBe(transcript(said));
        },
      ),
      { numRuns: 60 },
    );
  });

  it('does not say a word of which less than half was heard, at its front or at its back', () => {
    const half = WORD_SAMPLES / 2;
    const word = speak([9]).subarray(0, WORD_SAMPLES * 2);
    expect(words(word.subarray(0, half * 2))).toEqual(['w9']);
    expect(words(word.subarray(0, half * 2 - 2))).toEqual([]);
    expect(words(word.subarray(half * 2))).toEqual(['w9']);
    expect(words(word.subarray(half * 2 + 2))).toEqual([]);
    expect(words(word.subarray(0, half * 2), { minHeard: 0.75 })).toEqual([]);
  });

  it('says a long run once', () => {
    const run = speak([4]).subarray(0, WORD_SAMPLES * 2);
    expect(words(Buffer.concat([run, run, run]))).toEqual(['w4']);
  });

  it('spells words as told, counting them', () => {
    const spell = (word: number, nth: number): string => `${nth}:${word}`;
    expect(words(speak(range(8, 10)), { spell })).toEqual(['0:8', '1:9', '2:10']);
  });

  it('makes no words of a constant level below zero, nor of silence', () => {
    const level = Buffer.alloc(WORD_SAMPLES * 4);
    for (let at = 0; at < level.length; at += 2) level.writeInt16LE(-1, at);
    expect(words(level)).toEqual([]);
    expect(words(silence(2_000))).toEqual([]);
  });

  it('says a pseudo word in every fifth frame of a voice, the same ones each time', () => {
    const heard = hear(tone(1_280 * 20, 3_000));
    expect(heard.map((said) => said.length)).toEqual(
      Array.from({ length: 20 }, (_, frame) => (frame % 5 === 4 ? 1 : 0)),
    );
    expect(hear(tone(1_280 * 20, 3_000))).toEqual(heard);
    expect(new Set(heard.flat()).size).toBe(4);
  });

  it('says nothing to a voice below -45 dBFS', () => {
    // A sine is 3 dB below its amplitude: these lie at -44 and -46 dBFS.
    expect(words(tone(1_280 * 20, 32_768 * 10 ** (-41 / 20)))).toHaveLength(4);
    expect(words(tone(1_280 * 20, 32_768 * 10 ** (-43 / 20)))).toEqual([]);
  });
});
