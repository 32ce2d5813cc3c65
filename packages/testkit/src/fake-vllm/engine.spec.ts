import { describe, expect, it } from '@jest/globals';
import { FakeClock } from '../fake-clock.ts';
import { kvMib } from './arithmetic.ts';
import { type EngineLimits, EngineLoop } from './engine.ts';
import { EngineMetrics } from './metrics.ts';
import { Utterance } from './utterance.ts';

const ROOMY: EngineLimits = {
  baseMs: 10,
  perSequenceMs: 0,
  maxNumSeqs: 100,
  maxModelLen: 100_000,
  kvPoolMib: 100_000,
};
const DELAY_FRAMES = 6;
/** Audio that the first token needs, and what each further one does. */
const FIRST_BYTES = (7 * 1_280 + 40) * 2;
const FRAME_BYTES = 1_280 * 2;

interface Heard {
  /** When each token came. */
  readonly atMs: number[];
  readonly failures: string[];
  ended: boolean;
}

class Rig {
  readonly clock = new FakeClock();
  readonly metrics = new EngineMetrics();
  readonly engine: EngineLoop;
  crashes = 0;
  #turns: (() => void)[] = [];

  /** Every timer comes `lateMs` after it is due. */
  constructor(limits: Partial<EngineLimits> = {}, lateMs = 0) {
    const { clock } = this;
    this.engine = new EngineLoop({
      clock: {
        now: () => clock.now(),
        wallNow: () => clock.wallNow(),
        after: (delayMs, run) => clock.after(delayMs + lateMs, run),
        every: (intervalMs, run) => clock.every(intervalMs, run),
      },
      limits: { ...ROOMY, ...limits },
      metrics: this.metrics,
      soon: (run) => void this.#turns.push(run),
      onCrash: () => {
        this.crashes += 1;
      },
    });
  }

  utterance(options: { iterationTimeoutMs?: number; hear?: () => string | Promise<string> } = {}): {
    utterance: Utterance;
    heard: Heard;
  } {
    const heard: Heard = { atMs: [], failures: [], ended: false };
    const utterance: Utterance = new Utterance({
      owner: {
        onToken: () => void heard.atMs.push(this.clock.now()),
        onEnd: () => {
          heard.ended = true;
          this.engine.remove(utterance);
        },
        onFailure: (message) => {
          heard.failures.push(message);
          this.engine.remove(utterance);
        },
      },
      hearing: { frame: options.hear ?? (() => '') },
      delayFrames: DELAY_FRAMES,
      iterationTimeoutMs: options.iterationTimeoutMs,
      nowMs: this.clock.now(),
    });
    this.engine.begin(utterance);
    return { utterance, heard };
  }

  /** Gives it audio for so many more tokens. */
  feed(utterance: Utterance, tokens: number): void {
    const bytes =
      utterance.samples === 0 ? FIRST_BYTES + (tokens - 1) * FRAME_BYTES : tokens * FRAME_BYTES;
    utterance.push(Buffer.alloc(bytes));
    this.engine.wake(utterance);
  }

  /** Lets `soon` happen, as often as it is asked for. */
  turn(): void {
    for (let turns = 0; this.#turns.length > 0; turns += 1) {
      if (turns > 1_000) throw new Error('the engine spins');
      for (const run of this.#turns.splice(0)) run();
    }
  }

  gauge(name: string): number {
    const line = this.metrics
      .render('m', 1_000, { open: 0, total: 0 })
      .split('\n')
      .find((text) => text.startsWith(`vllm:${name}`));
    return Number(line?.split(' ').at(-1));
  }
}

describe('EngineLoop', () => {
  it('gives one token to each ready utterance at the end of a step, and a step is as long as it is wide', () => {
    const rig = new Rig({ baseMs: 10, perSequenceMs: 2 });
    const [a, b] = [rig.utterance(), rig.utterance()];
    rig.feed(a.utterance, 2);
    rig.feed(b.utterance, 2);
    rig.clock.advance(100);
    // The first step had begun before b was there; then a and b go together.
    expect([a.heard.atMs, b.heard.atMs]).toEqual([
      [12, 26],
      [26, 38],
    ]);
  });

  it('takes maxNumSeqs utterances into a step and the others, which came later, into the next', () => {
    const rig = new Rig({ maxNumSeqs: 2 });
    const all = [rig.utterance(), rig.utterance(), rig.utterance(), rig.utterance()];
    for (const { utterance } of all) rig.feed(utterance, 1);
    rig.clock.advance(100);
    // One step of one, as it began at once; then two and one.
    expect(all.map(({ heard }) => heard.atMs)).toEqual([[10], [20], [20], [30]]);
  });

  it('falls behind real time when a step lasts longer than a frame', () => {
    const rig = new Rig({ baseMs: 100 });
    const { utterance, heard } = rig.utterance();
    rig.feed(utterance, 1);
    for (let frame = 0; frame < 49; frame += 1) {
      rig.clock.advance(80);
      rig.feed(utterance, 1);
    }
    expect(heard.atMs).toHaveLength(39);
    expect(utterance.backlogBytes / FRAME_BYTES).toBeGreaterThan(10);
  });

  it('does not lose time to late timers while it is busy, and gains none while it idles', () => {
    const rig = new Rig({}, 4);
    const { utterance, heard } = rig.utterance();
    rig.feed(utterance, 3);
    rig.clock.advance(100);
    expect(heard.atMs).toEqual([14, 24, 34]);
    rig.feed(utterance, 1);
    rig.clock.advance(100);
    expect(heard.atMs.at(-1)).toBe(114);
  });

  it('takes no time when a step lasts 0 ms, and lets others in between steps', () => {
    const rig = new Rig({ baseMs: 0 });
    const { utterance, heard } = rig.utterance();
    rig.feed(utterance, 5);
    expect(heard.atMs).toEqual([]);
    rig.turn();
    expect(heard.atMs).toEqual([0, 0, 0, 0, 0]);
    expect(rig.clock.pending).toBe(0);
  });

  it('ends an utterance one step after its last token, and an empty one without any', () => {
    const rig = new Rig();
    const [spoken, empty] = [rig.utterance(), rig.utterance()];
    rig.feed(spoken.utterance, 1);
    spoken.utterance.complete();
    empty.utterance.complete();
    rig.engine.wake(empty.utterance);
    rig.clock.advance(20);
    expect([empty.heard.ended, empty.heard.atMs]).toEqual([true, []]);
    rig.clock.advance(160);
    // One token while audio came, and D + 11 more for the padding.
    expect([spoken.heard.atMs.length, spoken.heard.ended]).toEqual([1 + 17, false]);
    rig.clock.advance(10);
    expect(spoken.heard.ended).toBe(true);
    expect(rig.engine.live.size).toBe(0);
  });

  it('frees an aborted utterance at once and gives it nothing more', () => {
    const rig = new Rig();
    const { utterance, heard } = rig.utterance();
    rig.feed(utterance, 3);
    rig.clock.advance(10);
    expect(rig.engine.usedKvMib).toBe(kvMib(40));
    rig.engine.remove(utterance);
    expect([rig.engine.live.size, rig.engine.usedKvMib]).toEqual([0, 0]);
    rig.clock.advance(100);
    expect(heard.atMs).toHaveLength(1);
  });

  it('lets an utterance wait while the KV cache has no room for it', () => {
    const rig = new Rig({ kvPoolMib: kvMib(40) });
    const [a, b] = [rig.utterance(), rig.utterance()];
    rig.feed(a.utterance, 1);
    rig.feed(b.utterance, 1);
    rig.clock.advance(50);
    expect([a.heard.atMs, b.heard.atMs]).toEqual([[10], []]);
    expect(
      rig.gauge('num_requests_waiting_by_reason{model_name="m",engine="0",reason="capacity"'),
    ).toBe(1);
    rig.engine.remove(a.utterance);
    rig.clock.advance(50);
    expect(b.heard.atMs).toEqual([60]);
  });

  it('lets utterances that hold the KV cache block each other for good', () => {
    // Each holds a share that suffices up to 48 tokens; the next block exists for neither.
    const rig = new Rig({ kvPoolMib: 2 * kvMib(48) });
    const both = [rig.utterance(), rig.utterance()];
    for (const { utterance } of both) rig.feed(utterance, 30);
    rig.clock.advance(10_000);
    expect(both.map(({ heard }) => heard.atMs.length)).toEqual([9, 9]);
    expect(
      rig.gauge('num_requests_waiting_by_reason{model_name="m",engine="0",reason="deferred"'),
    ).toBe(2);
  });

  it('dies when an utterance reaches maxModelLen, and with it everything', () => {
    const rig = new Rig({ maxModelLen: 39 + 5 });
    const [long, other] = [rig.utterance(), rig.utterance()];
    rig.feed(long.utterance, 10);
    rig.feed(other.utterance, 1);
    rig.clock.advance(1_000);
    expect(long.heard.atMs).toHaveLength(5);
    expect([rig.crashes, rig.engine.live.size, rig.clock.pending]).toEqual([1, 0, 0]);
  });

  it('stalls after a token that came later than the iteration timeout, though final is read', () => {
    const rig = new Rig();
    const { utterance, heard } = rig.utterance({ iterationTimeoutMs: 60_000 });
    rig.feed(utterance, 1);
    rig.clock.advance(59_000);
    rig.feed(utterance, 1);
    rig.clock.advance(61_000);
    expect(heard.atMs).toHaveLength(2);
    // One more delta, then nothing.
    rig.feed(utterance, 3);
    utterance.complete();
    rig.engine.wake(utterance);
    rig.clock.advance(100_000);
    expect([heard.atMs.length, heard.ended, rig.engine.live.size]).toEqual([3, false, 1]);
  });

  it('stalls an utterance whose first audio comes later than the iteration timeout', () => {
    const rig = new Rig();
    const { utterance, heard } = rig.utterance({ iterationTimeoutMs: 60_000 });
    rig.clock.advance(61_000);
    rig.feed(utterance, 3);
    rig.clock.advance(1_000);
    expect(heard.atMs).toHaveLength(1);
  });

  it('makes everybody wait while it hangs, and goes on where it was', () => {
    const rig = new Rig();
    const { utterance, heard } = rig.utterance();
    rig.feed(utterance, 2);
    rig.engine.hang();
    rig.clock.advance(1_000);
    expect(heard.atMs).toEqual([]);
    rig.engine.resume();
    rig.engine.resume();
    rig.turn();
    expect(heard.atMs).toEqual([1_000]);
    rig.clock.advance(10);
    expect(heard.atMs).toHaveLength(2);
  });

  it('is slower by a factor', () => {
    const rig = new Rig();
    rig.engine.slowFactor = 7;
    const { utterance, heard } = rig.utterance();
    rig.feed(utterance, 2);
    rig.clock.advance(1_000);
    expect(heard.atMs).toEqual([70, 140]);
  });

  it('waits for a hearing that takes its time, and fails only the utterance whose hearing fails', async () => {
    const rig = new Rig();
    let say: ((text: string) => void) | undefined;
    const slow = rig.utterance({ hear: () => new Promise((resolve) => (say = resolve)) });
    const broken = rig.utterance({ hear: () => Promise.reject(new Error('no ears')) });
    const thrown = rig.utterance({
      hear: () => {
        throw new Error('no ears at all');
      },
    });
    const well = rig.utterance();
    for (const { utterance } of [slow, broken, thrown, well]) rig.feed(utterance, 1);
    rig.clock.advance(100);
    expect([slow.heard.atMs, well.heard.atMs]).toEqual([[], []]);
    say?.('late');
    for (let turn = 0; turn < 10; turn += 1) await Promise.resolve();
    rig.clock.advance(100);
    for (let turn = 0; turn < 10; turn += 1) await Promise.resolve();
    expect([slow.heard.atMs.length, well.heard.atMs.length]).toEqual([1, 1]);
    expect([broken.heard.failures, thrown.heard.failures]).toEqual([
      ['no ears'],
      ['no ears at all'],
    ]);
  });

  it('counts one time to first token for each token, and the prompt once for each utterance', () => {
    const rig = new Rig();
    const { utterance } = rig.utterance();
    rig.feed(utterance, 3);
    rig.clock.advance(100);
    expect(rig.gauge('time_to_first_token_seconds_count')).toBe(3);
    expect(rig.gauge('time_to_first_token_seconds_sum')).toBeCloseTo(0.03);
    expect(
      rig.gauge('time_to_first_token_seconds_bucket{model_name="m",engine="0",le="0.005"}'),
    ).toBe(0);
    expect(
      rig.gauge('time_to_first_token_seconds_bucket{model_name="m",engine="0",le="0.01"}'),
    ).toBe(3);
    expect([rig.gauge('generation_tokens_total'), rig.gauge('prompt_tokens_total')]).toEqual([
      3, 39,
    ]);
  });

  it('shows gauges as of its last step', () => {
    const rig = new Rig();
    const { utterance } = rig.utterance();
    rig.utterance();
    rig.feed(utterance, 1);
    expect([rig.gauge('num_requests_running'), rig.gauge('num_requests_waiting{')]).toEqual([1, 1]);
    expect(rig.gauge('kv_cache_usage_perc')).toBe(kvMib(40) / 1_000);
    rig.clock.advance(10);
    expect([rig.gauge('num_requests_running'), rig.gauge('num_requests_waiting{')]).toEqual([0, 2]);
    rig.engine.remove(utterance);
    expect(rig.gauge('kv_cache_usage_perc')).toBe(kvMib(40) / 1_000);
  });
});

describe('kvMib', () => {
  it.each([
    [5, 128],
    [10, 208],
    [15, 272],
    [30, 480],
    [60, 880],
    [300, 1_248],
    [660, 1_808],
    [3_600, 1_808],
  ])('gives an utterance of %i s at 480 ms of delay %i MiB', (seconds, mib) => {
    expect(kvMib(39 + 12.5 * seconds)).toBe(mib);
  });
});
