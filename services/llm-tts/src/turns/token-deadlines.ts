import { VoiceError } from '@voice-fleet/protocol/errors';
import type { Clock } from '@voice-fleet/runtime/clock';

export interface TokenLimits {
  /** From the request to the first token. */
  readonly firstMs: number;
  /** From one token to the next. */
  readonly gapMs: number;
  /** From the request to the last token. */
  readonly totalMs: number;
}

const FIRST_MS_MAX = 5_000;
const GAP_MS = 4_000;

export function tokenLimits(totalMs: number): TokenLimits {
  return { firstMs: Math.min(FIRST_MS_MAX, totalMs / 2), gapMs: GAP_MS, totalMs };
}

export interface DeadlineOptions {
  readonly clock: Clock;
  readonly limits: TokenLimits;
  readonly signal: AbortSignal;
}

/**
 * The tokens of `open`, in time: else throws `llm_timeout`. Throws the signal's reason as soon as it aborts. Whichever way it
 * ends, the signal that `open` was given is aborted.
 */
export async function* withDeadlines(
  open: (signal: AbortSignal) => AsyncIterable<string>,
  { clock, limits, signal }: DeadlineOptions,
): AsyncGenerator<string> {
  signal.throwIfAborted();
  const upstream = new AbortController();
  const stopped = new Promise<never>((_resolve, reject) => {
    upstream.signal.addEventListener('abort', () => reject(upstream.signal.reason as Error));
  });
  // Nobody may be waiting when it comes.
  stopped.catch(() => undefined);
  const onAbort = (): void => upstream.abort(signal.reason);
  signal.addEventListener('abort', onAbort, { once: true });
  const expire = (limit: string) => () =>
    upstream.abort(new VoiceError('llm_timeout', { details: { limit } }));
  const total = clock.after(limits.totalMs, expire('total'));
  const tokens = open(upstream.signal)[Symbol.asyncIterator]();
  try {
    for (let isFirst = true; ; isFirst = false) {
      upstream.signal.throwIfAborted();
      // Only the wait for a token counts, not that of a reader who takes his time.
      const timer = isFirst
        ? clock.after(limits.firstMs, expire('first'))
        : clock.after(limits.gapMs, expire('gap'));
      let step: IteratorResult<string>;
      try {
        step = await Promise.race([tokens.next(), stopped]);
      } finally {
        timer.cancel();
      }
      // An engine may end quietly when it is aborted.
      upstream.signal.throwIfAborted();
      if (step.done) return;
      yield step.value;
    }
  } finally {
    total.cancel();
    signal.removeEventListener('abort', onAbort);
    upstream.abort(new Error('nobody reads this reply any more'));
    // An engine that does not hear an abort must not hold up the turn.
    tokens.return?.().catch(() => undefined);
  }
}
