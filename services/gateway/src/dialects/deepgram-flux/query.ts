import { FluxThresholds } from '@voice-fleet/protocol/deepgram-flux';
import { VoiceError } from '@voice-fleet/protocol/errors';
import type { ListenOptions } from '@voice-fleet/protocol/session';
import type { PcmFormat } from '@voice-fleet/speech/pcm-decoder';
import { formatOf, languageOf } from '../deepgram-listen/query.ts';

const DEFAULTS = { eot_threshold: 0.7, eot_timeout_ms: 5_000 };
/** Turns that are not ended before, as no silence lasts longer. */
const MAX_SILENCE_MS = 10_000;

/** Each message tells all of a turn again. */
const MAX_TURN_MS = 60_000;

/** What a client asks for with the address of its stream. */
export interface FluxQuery {
  readonly format: PcmFormat;
  readonly model: string | undefined;
  readonly language: string | undefined;
  readonly keyterms: readonly string[];
  readonly turns: TurnSettings;
}

/** When turns end. */
export interface TurnSettings {
  readonly eot_threshold: number;
  readonly eager_eot_threshold?: number;
  readonly eot_timeout_ms: number;
}

/** Throws VoiceError `invalid_message` for what cannot be done; whatever is not known here is let be. */
export function parseFluxQuery(query: URLSearchParams): FluxQuery {
  const hints = query.getAll('language_hint');
  return {
    format: formatOf(query),
    model: query.get('model') || undefined,
    // With several any of them may be spoken.
    language: hints.length === 1 ? languageOf(hints[0]) : undefined,
    keyterms: query.getAll('keyterm'),
    turns: turnsOf(query),
  };
}

/** `changes` on top of what was in force. */
export function changedTurns(before: TurnSettings, changes: FluxThresholds = {}): TurnSettings {
  const { eager_eot_threshold: eager = before.eager_eot_threshold } = changes;
  return {
    eot_threshold: changes.eot_threshold ?? before.eot_threshold,
    ...(typeof eager === 'number' && { eager_eot_threshold: eager }),
    eot_timeout_ms: changes.eot_timeout_ms ?? before.eot_timeout_ms,
  };
}

/** Nobody judges here whether a turn is over: the surer a client wants to be, the longer its speaker must be silent. */
export function silenceOf({ eot_threshold, eot_timeout_ms }: TurnSettings): {
  readonly silenceMs: number;
  /** It is the longest that was asked for. */
  readonly byTimeout: boolean;
} {
  const sureMs = eot_threshold < 1 ? Math.round(1_000 * eot_threshold) : Number.POSITIVE_INFINITY;
  const silenceMs = Math.min(sureMs, eot_timeout_ms, MAX_SILENCE_MS);
  return { silenceMs, byTimeout: silenceMs < sureMs };
}

export function listenOptions({ model, language }: FluxQuery, turns: TurnSettings): ListenOptions {
  return {
    endpointing: { silenceMs: silenceOf(turns).silenceMs },
    maxUtteranceMs: MAX_TURN_MS,
    ...(model !== undefined && { model }),
    ...(language !== undefined && { language }),
  };
}

function turnsOf(query: URLSearchParams): TurnSettings {
  const given = Object.fromEntries(
    Object.keys(FluxThresholds.shape).flatMap((name) => {
      const text = query.get(name);
      return text ? [[name, Number(text)]] : [];
    }),
  );
  const parsed = FluxThresholds.safeParse(given);
  if (!parsed.success) {
    const name = String(parsed.error.issues[0]?.path[0]);
    throw new VoiceError('invalid_message', {
      message: `${name} must be a number within its range: eot_threshold 0.5 to 1, eager_eot_threshold 0.3 to 0.9, eot_timeout_ms 500 to 60000.`,
    });
  }
  return changedTurns(DEFAULTS, parsed.data);
}
