import { beforeEach, describe, expect, it } from '@jest/globals';
import { type DecodeRun, RtfWatch } from './rtf-watch.ts';

const SECOND = 16_000;

describe('RtfWatch', () => {
  let watch: RtfWatch;
  let nowMs = 0;
  let sample = 0;
  let workMs = 0;

  /** A second of audio, for which the engine worked so long. */
  function second(tookMs: number): DecodeRun | undefined {
    nowMs += 1000;
    sample += SECOND;
    workMs += tookMs;
    return watch.heard(sample, workMs, nowMs);
  }

  beforeEach(() => {
    nowMs = 5000;
    sample = 3 * SECOND;
    workMs = 0;
    watch = new RtfWatch(1000);
    watch.begin(sample, nowMs);
  });

  it('P35: is the time of the engine by that of the audio, an interval at a time', () => {
    expect(second(400)).toMatchObject({ rtf: 0.4, ms: 400 });
    expect(watch.heard(sample + SECOND / 4, workMs + 50, nowMs + 250)).toBeUndefined();
    expect(second(800)).toMatchObject({ rtf: 0.8 });
    expect(watch.total).toEqual({ runs: 2, ms: 1200 });
  });

  it('P38: notes a change by more than a fifth of the one noted last', () => {
    const changes = [500, 550, 599, 601, 700, 480].map((ms) => second(ms)?.changed);
    expect(changes).toEqual([true, false, false, true, false, true]);
  });

  it('P35: is slow when two runs in a row were', () => {
    const slow = [1600, 1400, 1600, 1501].map((ms) => second(ms)?.slow);
    expect(slow).toEqual([false, false, false, true]);
  });

  it('makes a last run of what is left, if there is enough of it', () => {
    second(100);
    watch.heard(sample + SECOND / 2, workMs + 60, nowMs + 10);
    expect(watch.finish(nowMs + 20)).toMatchObject({ ms: 60 });
    expect(watch.finish(nowMs + 30)).toBeUndefined();
    expect(watch.total).toEqual({ runs: 2, ms: 160 });
  });

  it('counts anew at another worker, which hears some audio again', () => {
    second(900);
    sample -= SECOND / 2;
    workMs = 20;
    watch.heard(sample, workMs, nowMs);
    expect(second(300)).toMatchObject({ rtf: 0.3 });
  });

  it('counts each utterance by itself', () => {
    second(900);
    watch.begin(sample, nowMs);
    expect(watch.total).toEqual({ runs: 0, ms: 0 });
    workMs = 0;
    expect(second(100)).toMatchObject({ rtf: 0.1 });
  });
});
