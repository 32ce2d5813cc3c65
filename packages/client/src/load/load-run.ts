import { setMaxListeners } from 'node:events';
import { type Clock, sleep, type Timer } from '@voice-fleet/runtime/clock';
import { failureCode, isTurnedAway } from '../outcomes.ts';
import { arrivals, type Phase, secondsOf } from './schedule.ts';

/** `stopped`: cut off by whoever ended the test. `skipped`: not begun, as too many ran. */
export const LOAD_OUTCOMES = ['completed', 'refused', 'failed', 'stopped', 'skipped'] as const;
export type LoadOutcome = (typeof LOAD_OUTCOMES)[number];

/** Learns what happens, as it does. */
export interface LoadListener {
  /** A session begins, so long after its moment. */
  begun(phase: number, lateMs: number): void;
  /** `code`: of those refused and failed. Comes without `begun` for those skipped. */
  over(phase: number, outcome: LoadOutcome, code?: string): void;
}

export interface LoadRunOptions {
  readonly phases: readonly Phase[];
  readonly clock: Clock;
  /** Those that would be more are skipped. */
  readonly maxSessions: number;
  /** One session. When `ending` aborts it begins no other utterance; it fails when the run's `signal` aborts. */
  readonly runSession: (index: number, phase: number, ending: AbortSignal) => Promise<void>;
  readonly listener: LoadListener;
  /** Aborting ends the schedule: sessions may come to their end, in `graceMs`. */
  readonly stop: AbortSignal;
  readonly graceMs: number;
  /** Cuts sessions off. This run aborts it when the grace is over. */
  readonly cut: AbortController;
}

/** Open loop: sessions begin at their moments, whatever becomes of those before. Settles when all have ended; never rejects. */
export async function runLoad(options: LoadRunOptions): Promise<void> {
  const { clock, cut, stop } = options;
  const ending = new AbortController();
  // Each session that pauses listens.
  setMaxListeners(0, ending.signal);
  const end = (): void => ending.abort(new Error('The load test ends.'));
  for (const signal of [stop, cut.signal]) {
    if (signal.aborted) end();
    signal.addEventListener('abort', end, { once: true });
  }
  const running = new Set<Promise<void>>();
  await schedule(options, ending.signal, running);
  end();
  let grace: Timer | undefined;
  const stopped = (): void => {
    grace = clock.after(options.graceMs, () => cut.abort(stop.reason));
  };
  if (stop.aborted) stopped();
  else stop.addEventListener('abort', stopped, { once: true });
  await Promise.all(running);
  grace?.cancel();
  for (const signal of [stop, cut.signal]) signal.removeEventListener('abort', end);
  stop.removeEventListener('abort', stopped);
}

async function schedule(
  options: LoadRunOptions,
  ending: AbortSignal,
  running: Set<Promise<void>>,
): Promise<void> {
  const { clock, phases, listener, maxSessions } = options;
  const startMs = clock.now();
  const until = async (atMs: number): Promise<void> => {
    const waitMs = startMs + atMs - clock.now();
    if (waitMs > 0) await sleep(clock, waitMs, ending);
    ending.throwIfAborted();
  };
  try {
    for (const { index, atMs, phase } of arrivals(phases)) {
      await until(atMs);
      if (running.size >= maxSessions) {
        listener.over(phase, 'skipped');
        continue;
      }
      listener.begun(phase, clock.now() - startMs - atMs);
      const session = one(options, index, phase, ending).finally(() => running.delete(session));
      running.add(session);
    }
    await until(secondsOf(phases) * 1000);
  } catch (error) {
    if (!ending.aborted) throw error;
  }
}

async function one(
  { runSession, listener, cut }: LoadRunOptions,
  index: number,
  phase: number,
  ending: AbortSignal,
): Promise<void> {
  try {
    await runSession(index, phase, ending);
    listener.over(phase, 'completed');
  } catch (error) {
    if (cut.signal.aborted) listener.over(phase, 'stopped');
    else listener.over(phase, isTurnedAway(error) ? 'refused' : 'failed', failureCode(error));
  }
}
