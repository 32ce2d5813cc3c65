import { describe, expect, it } from '@jest/globals';
import type { Word } from '@voice-fleet/speech/words';
import { ScriptedEngine } from '../../../../tests/support/scripted-engine.ts';
import { Segment } from './segment.ts';

const pcm = (samples: number): Buffer => Buffer.alloc(samples * 2);
const word = (startSample: number, endSample: number): Word => ({
  text: 'w',
  startSample,
  endSample,
});

async function segmentOf(...writes: [samples: number, fromSample: number][]): Promise<Segment> {
  const segment = new Segment(new ScriptedEngine().open());
  for (const [samples, fromSample] of writes) await segment.write(pcm(samples), fromSample);
  return segment;
}

function times(segment: Segment, ...words: Word[]): [number, number][] {
  return segment
    .onSessionClock(words)
    .map(({ startSample, endSample }) => [startSample, endSample]);
}

describe('Segment', () => {
  it('counts the samples handed to the engine', async () => {
    expect((await segmentOf([100, 0], [50, 100])).samples).toBe(150);
  });

  it('puts words on the session clock from where its audio began', async () => {
    const segment = await segmentOf([100, 5_000], [100, 5_100]);
    expect(times(segment, word(0, 100), word(150, 200))).toEqual([
      [5_000, 5_100],
      [5_150, 5_200],
    ]);
  });

  it('puts words behind dropped audio as much later', async () => {
    const segment = await segmentOf([100, 0], [100, 1_100], [100, 9_000]);
    expect(times(segment, word(50, 90), word(120, 180), word(210, 300))).toEqual([
      [50, 90],
      [1_120, 1_180],
      [9_010, 9_100],
    ]);
  });

  it('lets a word that was spoken over a gap reach over it', async () => {
    const segment = await segmentOf([100, 0], [100, 1_100]);
    expect(times(segment, word(90, 120))).toEqual([[90, 1_120]]);
  });

  it('has whole samples that are never below zero, whatever times the engine gives', async () => {
    const segment = await segmentOf([100, 10]);
    expect(times(segment, word(-50, 3.4))).toEqual([[0, 13]]);
  });

  it('keeps text and confidence of words', async () => {
    const segment = await segmentOf([100, 1_000]);
    const [heard] = segment.onSessionClock([{ ...word(0, 10), confidence: 0.5 }]);
    expect(heard).toEqual({ text: 'w', startSample: 1_000, endSample: 1_010, confidence: 0.5 });
  });

  it('makes no times up where nothing was written', async () => {
    expect(times(await segmentOf(), word(5, 10))).toEqual([[0, 0]]);
  });
});
