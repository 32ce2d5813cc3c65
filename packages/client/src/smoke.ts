import { type Clock, sleep } from '@voice-fleet/runtime/clock';
import { VoiceServerError } from './voice-errors.ts';
import { YapConnectionClosed, YapRejected, YapTimeout, YapUnreachable } from './yap-errors.ts';

const RETRY_MS = 2_000;
/** Slots come free when somebody stops speaking; a fleet that has none for so long is full. */
const FULL_MS = 10_000;
/** One thing that a fleet must be able to do. */
export interface SmokeCheck {
  readonly name: string;
  /** Resolves with what is worth telling; rejects when it did not work. */
  readonly run: (signal: AbortSignal) => Promise<string>;
}

/** `refused`: the fleet said that all its slots are taken, as it should when they are. `skipped`: nothing can be learnt after that. */
export type SmokeOutcome = 'ok' | 'refused' | 'failed' | 'skipped';

export interface SmokeResult {
  readonly check: string;
  readonly outcome: SmokeOutcome;
  readonly tries: number;
  readonly elapsedMs: number;
  readonly detail: string;
  /** Why it was refused or failed. */
  readonly error?: unknown;
}

export interface SmokeOptions {
  readonly clock: Clock;
  /** For all checks and tries together. */
  readonly timeoutMs: number;
  /** For one try: what it waits for may be gone, and another gateway answer the next. */
  readonly tryMs: number;
  /** Aborting ends all with its reason. */
  readonly signal: AbortSignal;
  /** Told of a try that failed and is made again. */
  readonly onRetry?: (check: string, error: unknown) => void;
}

/** A check over HTTP, or the voice of a reply, did not go well. */
export class SmokeFault extends Error {
  override readonly name = 'SmokeFault';
  readonly kind: Verdict;

  constructor(kind: Verdict, message: string) {
    super(message);
    this.kind = kind;
  }
}

/** `again`: a fleet that still starts is like this. `full`: all slots are taken. `final`: another try would end the same way. */
type Verdict = 'again' | 'full' | 'final';

/** Makes the checks one after the other, each as often as time allows while it may yet succeed. */
export async function runSmoke(
  checks: readonly SmokeCheck[],
  options: SmokeOptions,
): Promise<SmokeResult[]> {
  const { clock, timeoutMs } = options;
  const deadline = new AbortController();
  const timer = clock.after(timeoutMs, () =>
    deadline.abort(new YapTimeout('the fleet to pass', timeoutMs)),
  );
  const signal = AbortSignal.any([options.signal, deadline.signal]);
  const results: SmokeResult[] = [];
  try {
    for (const check of checks) {
      const skipped = results.some(({ outcome }) => outcome !== 'ok');
      results.push(skipped ? notMade(check) : await repeat(check, signal, options));
      options.signal.throwIfAborted();
    }
    return results;
  } finally {
    timer.cancel();
  }
}

function notMade({ name }: SmokeCheck): SmokeResult {
  return { check: name, outcome: 'skipped', tries: 0, elapsedMs: 0, detail: '' };
}

async function repeat(
  { name, run }: SmokeCheck,
  signal: AbortSignal,
  options: SmokeOptions,
): Promise<SmokeResult> {
  const { clock, onRetry } = options;
  const startMs = clock.now();
  let fullMs: number | undefined;
  for (let tries = 1; ; tries++) {
    const result = (outcome: SmokeOutcome, detail: string, error?: unknown): SmokeResult => {
      const elapsedMs = clock.now() - startMs;
      return { check: name, outcome, tries, elapsedMs, detail, ...(error ? { error } : {}) };
    };
    try {
      return result('ok', await once(run, signal, options));
    } catch (error) {
      const verdict = verdictOn(error);
      if (verdict === 'full') fullMs ??= clock.now();
      else fullMs = undefined;
      const full = fullMs !== undefined && clock.now() - fullMs >= FULL_MS;
      if (full) return result('refused', messageOf(error), error);
      if (verdict === 'final' || signal.aborted) return result('failed', messageOf(error), error);
      onRetry?.(name, error);
      try {
        await sleep(clock, RETRY_MS, signal);
      } catch {
        // The last failure says more than that the time is up.
        const outcome = verdict === 'full' ? 'refused' : 'failed';
        return result(outcome, messageOf(error), error);
      }
    }
  }
}

async function once(
  run: SmokeCheck['run'],
  signal: AbortSignal,
  { clock, tryMs }: SmokeOptions,
): Promise<string> {
  const deadline = new AbortController();
  const timer = clock.after(tryMs, () => deadline.abort(new YapTimeout('one try to end', tryMs)));
  try {
    return await run(AbortSignal.any([signal, deadline.signal]));
  } finally {
    timer.cancel();
  }
}

function verdictOn(error: unknown): Verdict {
  if (error instanceof SmokeFault) return error.kind;
  if (error instanceof YapRejected) {
    if (error.reason === 'capacity') return 'full';
    return error.reason === 'auth' || error.reason === 'quota' ? 'final' : 'again';
  }
  if (error instanceof VoiceServerError) return error.code === 'AT_CAPACITY' ? 'full' : 'final';
  const passing = [YapUnreachable, YapTimeout, YapConnectionClosed];
  return passing.some((kind) => error instanceof kind) ? 'again' : 'final';
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
