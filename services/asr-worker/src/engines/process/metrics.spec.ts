import { describe, expect, it } from '@jest/globals';
import { ProcessMetrics, WorkMeter } from './metrics.ts';

describe('WorkMeter', () => {
  it('E12: ten chunks of 2 s that take 200 ms each are a tenth of real time', () => {
    const meter = new WorkMeter();
    for (let chunk = 0; chunk < 10; chunk += 1) meter.addChunk(32_000, 200);
    expect(meter.work()).toEqual({
      chunksProcessed: 10,
      audioMs: 20_000,
      inferMs: 2_000,
      avgInferMs: 200,
      realtimeFactor: 0.1,
    });
  });

  it('counts what is left behind the last chunk as time, not as a chunk', () => {
    const meter = new WorkMeter();
    meter.addChunk(16_000, 0);
    meter.addRest(500);
    expect(meter.work()).toMatchObject({ chunksProcessed: 1, inferMs: 500, realtimeFactor: 0.5 });
  });

  it('is zero before the first audio', () => {
    expect(new WorkMeter().work()).toMatchObject({ avgInferMs: 0, realtimeFactor: 0 });
  });
});

describe('ProcessMetrics', () => {
  it('counts processes, and errors until a stream ends well', () => {
    const metrics = new ProcessMetrics();
    metrics.childStarted();
    metrics.childStarted();
    metrics.childGone();
    metrics.failed('first');
    metrics.failed('second');
    expect(metrics.stats()).toMatchObject({
      children: 1,
      childrenStarted: 2,
      lastError: 'second',
      consecutiveErrors: 2,
    });
    metrics.succeeded();
    expect(metrics.stats()).toMatchObject({ lastError: 'second', consecutiveErrors: 0 });
  });
});
