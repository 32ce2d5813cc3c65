import { describe, expect, it } from '@jest/globals';
import type { Decoder } from './decoder.ts';
import { DecoderPool } from './decoder-pool.ts';
import { CEPSTRA } from './front-end.ts';
import { Segment } from './segment.ts';

const VOICE = Buffer.from(
  new Int16Array(48_000).map((_, at) => (at % 80 < 40 ? 3_000 : -3_000)).buffer,
);
const MEAN = new Array<number>(CEPSTRA).fill(1);

/** Notes what a decoder is asked to do. */
class FakeDecoder {
  readonly calls: string[] = [];
  start(): void {
    this.calls.push('start');
  }
  async decode(samples: Int16Array): Promise<void> {
    this.calls.push(`decode ${samples.length}`);
  }
  async end(): Promise<void> {
    this.calls.push('end');
  }
  async rescore(): Promise<void> {}
  words(): [] {
    return [];
  }
}

function setUp(mean?: readonly number[]) {
  const decoder = new FakeDecoder();
  const pool = new DecoderPool(1, async () => decoder as unknown as Decoder);
  const lending: string[] = [];
  const decoded: number[] = [];
  const frontEnd = {
    cepstraOf: (samples: Int16Array) =>
      new Float32Array(Math.max(0, Math.floor(samples.length / 160) - 2) * CEPSTRA).fill(2),
  };
  const segment = new Segment(
    {
      pool,
      frontEnd,
      onLending: (state) => lending.push(state),
      onDecoded: (decodedSamples) => decoded.push(decodedSamples),
    },
    mean,
  );
  return { segment, decoder, pool, lending, decoded };
}

describe('Segment', () => {
  it('feeds blocks of one size however the audio is cut', async () => {
    const { segment, decoder } = setUp(MEAN);
    for (let at = 0; at < 7_001; at += 777) {
      await segment.write(VOICE.subarray(at, Math.min(7_001, at + 777)));
    }
    await segment.finish();
    expect(decoder.calls).toEqual(['start', 'decode 1600', 'decode 1600', 'decode 300', 'end']);
  });

  it('takes a decoder only once it knows the voice', async () => {
    const { segment, decoder, lending } = setUp();
    await segment.write(VOICE.subarray(0, 28_800));
    expect(lending).toEqual([]);
    await segment.write(VOICE.subarray(28_800, 32_000));
    expect(lending).toEqual(['queued', 'lent']);
    expect(decoder.calls).toHaveLength(11);
    expect(await segment.finish()).toEqual(new Array<number>(CEPSTRA).fill(2));
  });

  it('decodes at the end what is too short to know the voice by, and carries nothing on', async () => {
    const { segment, decoder } = setUp();
    await segment.write(VOICE.subarray(0, 9_600));
    expect(await segment.finish()).toBeUndefined();
    expect(decoder.calls).toEqual(['start', 'decode 1600', 'decode 1600', 'decode 1600', 'end']);
  });

  it('skips long silence before the voice, and counts it', async () => {
    const { segment, decoder, decoded } = setUp(MEAN);
    await segment.write(Buffer.alloc(320_000));
    expect(decoder.calls).toEqual([]);
    await segment.write(VOICE.subarray(0, 3_200));
    expect(decoder.calls).toHaveLength(1 + 5 + 1);
    expect(decoded.at(-1)).toBe(161_600);
  });

  it('decodes no silence', async () => {
    const { segment, decoder } = setUp(MEAN);
    await segment.write(Buffer.alloc(32_000));
    await segment.finish();
    expect(decoder.calls).toEqual([]);
  });

  it('gives its decoder back, once', async () => {
    const { segment, pool, decoder } = setUp(MEAN);
    await segment.write(VOICE);
    segment.abort();
    await segment.close();
    await segment.close();
    expect((await pool.lend()).item).toBe(decoder);
  });

  it('stops within a block when aborted', async () => {
    const { segment, decoder } = setUp(MEAN);
    const written = segment.write(VOICE);
    segment.abort();
    await written;
    expect(decoder.calls.length).toBeLessThan(4);
  });
});
