import { beforeEach, describe, expect, it } from '@jest/globals';
import type { EngineCapabilities } from '../engines/engine.ts';
import { SettledMark } from './settled-mark.ts';

const SECOND = 16_000;
const ENGINE: EngineCapabilities = {
  streaming: true,
  gpu: false,
  languages: [],
  minMemoryMiB: 1,
};
const HELD_NOTHING = Number.POSITIVE_INFINITY;

describe('SettledMark', () => {
  let source: { readSample: number; pauseSamples: number };
  beforeEach(() => {
    source = { readSample: 0, pauseSamples: 0 };
  });

  const taken = (seconds: number, voicedUntilS: number): void => {
    source.readSample = seconds * SECOND;
    source.pauseSamples = (seconds - voicedUntilS) * SECOND;
  };

  it('is at what the engine has heard, but not behind a word that is held back, and never goes back', () => {
    const mark = new SettledMark({ ...ENGINE, tellsHeard: true }, source, 100);
    expect([mark.raise(100, HELD_NOTHING), mark.sample]).toEqual([false, 100]);
    expect([mark.raise(900, 700), mark.sample]).toEqual([true, 700]);
    expect([mark.raise(900, 500), mark.raise(600, HELD_NOTHING), mark.sample]).toEqual([
      false,
      false,
      700,
    ]);
    // Time alone says nothing of an engine that tells.
    taken(60, 0);
    expect(mark.raise(700, HELD_NOTHING)).toBe(false);
  });

  it('follows the audio by two seconds while nobody speaks, and by as much more as word times may be off', () => {
    const mark = new SettledMark(ENGINE, source, 0);
    taken(10, 0);
    expect([mark.raise(0, HELD_NOTHING), mark.sample]).toEqual([true, 8 * SECOND]);
    const rough = new SettledMark({ ...ENGINE, timeErrorSamples: SECOND }, source, 0);
    rough.raise(0, HELD_NOTHING);
    expect(rough.sample).toBe(7 * SECOND);
    rough.raise(0, 5 * SECOND);
    expect(rough.sample).toBe(7 * SECOND);
  });

  it('waits for the word of a voice, and for that which the engine has only guessed', () => {
    const mark = new SettledMark(ENGINE, source, 0);
    taken(10, 4);
    expect(mark.raise(0, HELD_NOTHING)).toBe(false);
    mark.onWords(0, ' guess');
    mark.raise(4 * SECOND, HELD_NOTHING);
    expect(mark.sample).toBe(4 * SECOND);
    mark.onWords(1, '');
    mark.raise(4 * SECOND, HELD_NOTHING);
    expect(mark.sample).toBe(8 * SECOND);
  });

  it('goes on without word times once the engine has spoken behind the voice', () => {
    const mark = new SettledMark(ENGINE, source, 0);
    taken(2, 1.5);
    mark.onWords(1, '');
    taken(9, 1.5);
    mark.raise(0, HELD_NOTHING);
    expect(mark.sample).toBe(7 * SECOND);
  });

  it('does not count what a stream said before it failed for that which the next one is to say', () => {
    const mark = new SettledMark(ENGINE, source, 0);
    taken(6, 5.5);
    mark.onWords(1, ' more');
    mark.raise(3 * SECOND, HELD_NOTHING);
    mark.startAgain(3 * SECOND);
    taken(9, 5.5);
    expect([mark.raise(3 * SECOND, HELD_NOTHING), mark.sample]).toEqual([false, 3 * SECOND]);
  });
});
