import { describe, expect, it } from '@jest/globals';
import { deltas, LatencyWatch } from './latency.ts';

describe('latency marks', () => {
  it('P36: keep the first time of each, and tell the four deltas', () => {
    const watch = new LatencyWatch();
    for (const [mark, ms] of [
      ['t0', 100.4],
      ['t0', 150],
      ['t1', 700],
      ['t2', 1000],
      ['t3', 1200],
      ['t4', 1500],
    ] as const)
      watch.stamp(mark, ms);
    expect(watch.marks).toEqual({ t0: 100, t1: 700, t2: 1000, t3: 1200, t4: 1500 });
    expect(deltas(watch.marks)).toEqual({
      d_first_partial: 600,
      d_final_transcript: 900,
      d_first_token: 200,
      d_first_audio: 500,
    });
  });

  it('leave out what did not happen', () => {
    expect(deltas({ t0: 1, t2: 4 })).toEqual({ d_final_transcript: 3 });
  });
});
