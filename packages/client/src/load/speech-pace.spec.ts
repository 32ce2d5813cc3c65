import { describe, expect, it } from '@jest/globals';
import { FakeClock } from '@voice-fleet/testkit/fake-clock';
import { Latencies } from './latencies.ts';
import { SpeechPace } from './speech-pace.ts';

const FRAMES = Array.from({ length: 4 }, (_, i) => Buffer.of(i));
const never = new AbortController().signal;

function rig(speed?: number) {
  const clock = new FakeClock();
  const late = new Latencies();
  return { clock, late, pace: new SpeechPace(clock, late, speed) };
}

describe('SpeechPace', () => {
  it('sends a frame each 80 ms, all sessions by one timer, and rests when all are done', async () => {
    const { clock, pace } = rig();
    const sent: [string, number][] = [];
    const speak = (who: string) => pace.speak(FRAMES, () => sent.push([who, clock.now()]), never);
    const first = speak('a');
    clock.advance(40);
    const second = speak('b');
    expect(clock.pending).toBe(1);
    clock.advance(240);
    await first;
    clock.advance(40);
    await second;
    const at = (name: string) => sent.filter(([who]) => who === name).map(([, ms]) => ms);
    expect(at('a')).toEqual([10, 80, 160, 240]);
    expect(at('b')).toEqual([50, 120, 200, 280]);
    expect(clock.pending).toBe(0);
  });

  it('catches up after a stall, and tells how late each frame was', async () => {
    const clock = new FakeClock();
    const late = new Latencies();
    // A process that is stopped: no tick comes in time.
    let tick = (): void => {};
    const stalled = {
      now: () => clock.now(),
      wallNow: () => 0,
      after: () => ({ cancel: () => {} }),
      every: (_: number, run: () => void) => {
        tick = run;
        return { cancel: () => {} };
      },
    };
    const sent: number[] = [];
    const done = new SpeechPace(stalled, late).speak(FRAMES, ([n = -1]) => sent.push(n), never);
    clock.advance(1_000);
    tick();
    await done;
    expect(sent).toEqual([0, 1, 2, 3]);
    expect(late.summary).toMatchObject({ count: 4 });
    expect(late.percentile(100)).toBeCloseTo(1_000, -1);
  });

  it('speaks faster when told to', async () => {
    const { clock, pace } = rig(4);
    const done = pace.speak(FRAMES, () => {}, never);
    clock.advance(60);
    await done;
  });

  it('ends one session with its failure, and the others go on', async () => {
    const { clock, pace } = rig();
    const failed = new AbortController();
    const cut = pace.speak(FRAMES, () => {}, failed.signal);
    const thrown = pace.speak(
      FRAMES,
      () => {
        throw new Error('closed');
      },
      never,
    );
    let sent = 0;
    const well = pace.speak(
      FRAMES,
      () => {
        sent += 1;
      },
      never,
    );
    failed.abort(new Error('gone'));
    clock.advance(10);
    await expect(cut).rejects.toThrow('gone');
    await expect(thrown).rejects.toThrow('closed');
    clock.advance(240);
    await well;
    expect(sent).toBe(4);
    expect(clock.pending).toBe(0);
  });
});
