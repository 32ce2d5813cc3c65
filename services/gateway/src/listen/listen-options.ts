import type { ListenOptions } from '@voice-fleet/protocol/session';

/** What workers keep: finer silence is no silence, longer silence is no endpoint. */
const SILENCE_MS = { min: 100, max: 10_000 };
/** No utterance is longer than an hour, so that its words are bounded. */
export const MAX_UTTERANCE_MS = 60 * 60 * 1000;
const MIN_UTTERANCE_MS = 1_000;
const QUIET_MS = { min: 100, max: 60_000 };

/** What of the client's wishes is in force: times are brought within what is served. Which delay is served the route knows. */
export function optionsInForce(wish: ListenOptions): ListenOptions {
  const { endpointing, maxUtteranceMs, quietMs, delayMs: _, ...rest } = wish;
  return {
    ...rest,
    ...(endpointing && {
      endpointing: { silenceMs: within(endpointing.silenceMs, SILENCE_MS) },
    }),
    ...(maxUtteranceMs !== undefined && {
      maxUtteranceMs: within(maxUtteranceMs, { min: MIN_UTTERANCE_MS, max: MAX_UTTERANCE_MS }),
    }),
    ...(quietMs !== undefined && { quietMs: within(quietMs, QUIET_MS) }),
  };
}

function within(value: number, { min, max }: { min: number; max: number }): number {
  return Math.min(max, Math.max(min, Math.round(value)));
}
