import { describe, expect, it } from '@jest/globals';
import type { ModelStatus } from './http/worker-health.ts';
import { WorkerMetrics } from './metrics.ts';

const STATUS: ModelStatus = {
  ...{ ready: true, state: 'ready', engine: 'e', vad: 'v', slots: 1, model: 'm' },
  ...{ status: 'healthy', level: 'normal', sessions: 0 },
};

describe('metrics of a worker', () => {
  const decoded = async (beats: readonly Partial<ModelStatus>[]): Promise<number | undefined> => {
    const metrics = new WorkerMetrics();
    for (const beat of beats) metrics.showHealth({ ...STATUS, ...beat });
    return (await metrics.decodeSeconds.get()).values[0]?.value;
  };
  /** As an engine of processes tells of its work. */
  const work = (chunksProcessed: number, inferMs: number): Partial<ModelStatus> => ({
    chunksProcessed,
    inferMs,
    avgInferMs: inferMs / chunksProcessed,
  });

  it('counts processing time as an engine tells of it, also of one that was started anew', async () => {
    expect(await decoded([work(1, 200), work(4, 500), work(1, 100)])).toBeCloseTo(0.6);
  });

  it('counts none twice when another engine has served for a while that tells none', async () => {
    expect(await decoded([work(1, 200), {}, work(2, 300)])).toBeCloseTo(0.3);
  });

  it('counts none twice, however the mean was rounded', async () => {
    const beats = Array.from({ length: 500 }, (_, chunks) => work(chunks + 1, 333_333.3));
    expect(await decoded(beats)).toBeCloseTo(333.3333);
  });

  it('does not take the time to an answer for processing time, as of many answers at once', async () => {
    expect(await decoded([{ chunksProcessed: 1_000, avgInferMs: 70, realtimeFactor: 0.4 }])).toBe(
      0,
    );
  });
});
