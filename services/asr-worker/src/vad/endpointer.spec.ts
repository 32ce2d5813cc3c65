import { beforeEach, describe, expect, it } from '@jest/globals';
import { FakeClock } from '@voice-fleet/testkit/fake-clock';
import fc from 'fast-check';
import { Endpointer, type EndpointerOptions } from './endpointer.ts';

const FRAME = 512;
const FRAME_MS = 32;
const SILENCE_MS = 700;
const SECOND = 16_000;
/** How long after the last audio an end by the clock may come, on top of the silence. */
const LATE_MS = 200;

type Told = ['started' | 'ended', number];

describe('Endpointer', () => {
  let clock: FakeClock;
  let told: Told[];
  let endpointer: Endpointer;
  let sample: number;

  beforeEach(() => {
    clock = new FakeClock();
    open();
  });

  function open(options: Partial<EndpointerOptions> = {}): void {
    told = [];
    const { fromSample = 0 } = options;
    sample = fromSample;
    endpointer = new Endpointer({
      clock,
      fromSample,
      silenceMs: SILENCE_MS,
      onStarted: (at) => told.push(['started', at]),
      onEnded: (at) => told.push(['ended', at]),
      ...options,
    });
  }

  function judge(voiced: boolean): void {
    endpointer.onFrame(sample, sample + FRAME, voiced);
    sample += FRAME;
  }

  /** Frames, `v` voiced and `.` not, that come so many ms apart and are judged at once. */
  function hear(frames: string, everyMs = FRAME_MS): void {
    for (const frame of frames) {
      clock.advance(everyMs);
      endpointer.onAudio(FRAME);
      judge(frame === 'v');
    }
  }

  const quiet = (frames: number): string => '.'.repeat(frames);
  const voice = (frames: number): string => 'v'.repeat(frames);

  it('tells where the speaker began and, after so much silence, where the voice was last heard', () => {
    hear(quiet(10) + voice(20) + quiet(21));
    expect(told).toEqual([['started', 10 * FRAME]]);
    hear(quiet(1));
    expect(told).toEqual([
      ['started', 10 * FRAME],
      ['ended', 30 * FRAME],
    ]);
  });

  it('counts from where the audio lies on the session clock', () => {
    open({ fromSample: 5 * SECOND });
    hear(quiet(3) + voice(10) + quiet(30));
    expect(told).toEqual([
      ['started', 5 * SECOND + 3 * FRAME],
      ['ended', 5 * SECOND + 13 * FRAME],
    ]);
  });

  it.each(['v', 'vv', 'vvv', 'v.v.v', 'vvv...v', 'v..v..v..v..v'])(
    'takes no click for a speaker: %s',
    (click) => {
      hear((click + quiet(20)).repeat(5));
      clock.advance(60_000);
      expect(told).toEqual([]);
    },
  );

  it.each(['vvvv', 'v.vvv', 'vv..vv', 'v.v.vv'])('hears a speaker who begins with %s', (start) => {
    hear(quiet(7) + start);
    expect(told).toEqual([['started', 7 * FRAME]]);
  });

  it('is not kept waiting by a click in the silence', () => {
    hear(`${voice(10) + quiet(10)}v${quiet(10)}v${quiet(10)}`);
    expect(told[1]).toEqual(['ended', 10 * FRAME]);
  });

  it('goes on with a speaker who pauses for less', () => {
    hear((voice(10) + quiet(20)).repeat(5));
    expect(told).toEqual([['started', 0]]);
  });

  it('never ends what was silent all along, by audio or by the clock', () => {
    hear(quiet(1_000));
    clock.advance(600_000);
    expect(told).toEqual([]);
    expect(clock.pending).toBe(0);
  });

  it('ends by the clock when the client sends no more (P11)', () => {
    hear(voice(20));
    clock.advance(SILENCE_MS - 1);
    expect(told).toEqual([['started', 0]]);
    clock.advance(1 + LATE_MS);
    expect(told[1]).toEqual(['ended', 20 * FRAME]);
    expect(clock.pending).toBe(0);
  });

  it('adds the silence that was sent to the time without audio', () => {
    hear(voice(20) + quiet(10));
    clock.advance(SILENCE_MS - 10 * FRAME_MS - 1);
    expect(told).toHaveLength(1);
    clock.advance(1 + LATE_MS);
    expect(told[1]).toEqual(['ended', 20 * FRAME]);
  });

  it('does not take the time in which audio waits for the detector for silence', () => {
    hear(voice(10));
    // Ten seconds at once, as after a move, and a detector that needs two to judge them.
    endpointer.onAudio(10 * SECOND);
    clock.advance(2_000);
    expect(told).toHaveLength(1);
    while (sample + FRAME <= 10 * FRAME + 10 * SECOND) judge(true);
    expect(told).toHaveLength(1);
    clock.advance(SILENCE_MS);
    expect(told[1]).toEqual(['ended', sample]);
  });

  it('measures silence in audio when it comes faster than it was spoken', () => {
    hear(voice(10) + quiet(21), 0);
    expect(told).toHaveLength(1);
    hear(voice(5) + quiet(21), 0);
    expect(told).toHaveLength(1);
    hear(quiet(1), 0);
    expect(told[1]).toEqual(['ended', 36 * FRAME]);
  });

  it('waits for a client that sends whole seconds, as long as these take', () => {
    for (let second = 0; second < 5; second += 1) {
      clock.advance(second === 0 ? 0 : 1_000);
      endpointer.onAudio(SECOND);
      while (sample + FRAME <= (second + 1) * SECOND) judge(second > 0);
    }
    expect(told).toEqual([['started', expect.any(Number)]]);
    clock.advance(1_000 + LATE_MS);
    expect(told[1]?.[0]).toBe('ended');
  });

  it('goes on with a speaker whom another worker has heard, and ends without another word', () => {
    open({ fromSample: 2 * SECOND, startedSample: SECOND });
    expect(told).toEqual([['started', SECOND]]);
    hear(quiet(21), 0);
    expect(told).toHaveLength(1);
    hear(quiet(1), 0);
    expect(told[1]).toEqual(['ended', 2 * SECOND]);
  });

  it('falls silent when it is closed', () => {
    hear(voice(10));
    endpointer.close();
    hear(quiet(50));
    clock.advance(10_000);
    expect(told).toEqual([['started', 0]]);
    expect(clock.pending).toBe(0);
  });

  describe('whatever is said, and however it comes', () => {
    const run = fc.record({
      voiced: fc.boolean(),
      frames: fc.integer({ min: 1, max: 40 }),
      everyMs: fc.constantFrom(0, 5, FRAME_MS),
    });

    it('begins once at most, ends once at most, after it began, and only behind so much silence', () => {
      fc.assert(
        fc.property(fc.array(run, { maxLength: 20 }), fc.nat({ max: 3_000 }), (runs, afterMs) => {
          open();
          const heard: boolean[] = [];
          for (const { voiced, frames, everyMs } of runs) {
            hear((voiced ? 'v' : '.').repeat(frames), everyMs);
            heard.push(...Array<boolean>(frames).fill(voiced));
          }
          clock.advance(afterMs);
          expect(told.map(([kind]) => kind)).toEqual(['started', 'ended'].slice(0, told.length));
          const [started, ended] = told;
          if (started) expect(heard[started[1] / FRAME]).toBe(true);
          const silentFrames = Math.ceil(SILENCE_MS / FRAME_MS);
          if (started && ended) {
            expect(ended[1]).toBeGreaterThan(started[1]);
            expect(heard[ended[1] / FRAME - 1]).toBe(true);
            // Of that silence, what came as audio holds no run of two voiced frames.
            const behind = heard.slice(ended[1] / FRAME, ended[1] / FRAME + silentFrames);
            expect(behind.some((voiced, at) => voiced && behind[at + 1] === true)).toBe(false);
          }
          // Without a beginning nothing waits; with one, the clock ends it in the end.
          clock.advance(SILENCE_MS + LATE_MS);
          expect(told.length === 0 || told.length === 2).toBe(true);
          expect(clock.pending).toBe(0);
          endpointer.close();
        }),
      );
    });
  });
});
