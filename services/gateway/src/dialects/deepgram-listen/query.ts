import { VoiceError } from '@voice-fleet/protocol/errors';
import type { ListenOptions } from '@voice-fleet/protocol/session';
import type { PcmEncoding, PcmFormat } from '@voice-fleet/speech/pcm-decoder';

/** Deepgram's names. Containers and compressed audio are not decoded while they come. */
const ENCODINGS: Readonly<Record<string, PcmEncoding>> = {
  linear16: 's16le',
  linear32: 'f32le',
  mulaw: 'mulaw',
  alaw: 'alaw',
};
const DEFAULT_RATE: Readonly<Record<PcmEncoding, number>> = {
  s16le: 16_000,
  s32le: 16_000,
  f16le: 16_000,
  f32le: 16_000,
  mulaw: 8_000,
  alaw: 8_000,
};
/** Those of sound cards, recordings and telephones: each other pair of rates would need a filter made for it alone. */
const RATES = [
  8_000, 11_025, 12_000, 16_000, 22_050, 24_000, 32_000, 44_100, 48_000, 88_200, 96_000, 192_000,
];
const MAX_CHANNELS = 8;
/** Clients ask for 10 or 25 ms, which no speaker pauses for: it would take words apart. */
const MIN_SILENCE_MS = 500;
const MAX_SILENCE_MS = 10_000;
/** Of someone who never pauses: interim results tell all of an utterance again, each time. */
const MAX_UTTERANCE_MS = 30_000;
const UTTERANCE_END_MS = { min: 1_000, max: 60_000 };

/** What a client asks for with the address of its stream. */
export interface ListenQuery {
  readonly format: Required<PcmFormat>;
  readonly model: string | undefined;
  readonly interimResults: boolean;
  readonly vadEvents: boolean;
  /** Words keep their punctuation and capitals. */
  readonly punctuate: boolean;
  /** Ends of utterances are told as such. */
  readonly endpointing: boolean;
  readonly options: ListenOptions;
}

/** Throws VoiceError `invalid_message` for what cannot be done; whatever is not known here is let be. */
export function parseListenQuery(query: URLSearchParams): ListenQuery {
  const endpointing = query.get('endpointing');
  const endpoints = endpointing !== 'false';
  const silenceMs = within(
    number(query, 'endpointing', { word: true }),
    MIN_SILENCE_MS,
    MAX_SILENCE_MS,
  );
  const utteranceEndMs = number(query, 'utterance_end_ms');
  const language = languageOf(query.get('language'));
  const model = query.get('model') || undefined;
  return {
    format: formatOf(query),
    model,
    interimResults: query.get('interim_results') === 'true',
    vadEvents: query.get('vad_events') === 'true',
    punctuate: keepsPunctuation(query),
    endpointing: endpoints,
    options: {
      // Without it results would never be final: then its ends are just not told as ends.
      endpointing: { silenceMs },
      maxUtteranceMs: MAX_UTTERANCE_MS,
      ...(model !== undefined && { model }),
      ...(language && { language }),
      ...(utteranceEndMs !== undefined && {
        quietMs: within(utteranceEndMs, UTTERANCE_END_MS.min, UTTERANCE_END_MS.max),
      }),
    },
  };
}

/** Words keep their punctuation and capitals. */
export function keepsPunctuation(query: URLSearchParams): boolean {
  return ['punctuate', 'smart_format', 'paragraphs'].some((name) => query.get(name) === 'true');
}

export function formatOf(query: URLSearchParams): Required<PcmFormat> {
  const name = query.get('encoding');
  if (name === null)
    throw refused(
      'Recordings and containers are not decoded while they are streamed. Send raw audio, and say which: encoding=linear16&sample_rate=16000.',
    );
  const encoding = Object.hasOwn(ENCODINGS, name) ? ENCODINGS[name] : undefined;
  if (encoding === undefined)
    throw refused(
      `encoding is none of those that are decoded here: ${Object.keys(ENCODINGS).join(', ')}.`,
    );
  const rate = number(query, 'sample_rate') ?? DEFAULT_RATE[encoding];
  if (!RATES.includes(rate)) throw refused(`sample_rate must be one of ${RATES.join(', ')}.`);
  const channels = number(query, 'channels') ?? 1;
  if (!Number.isInteger(channels) || channels < 1 || channels > MAX_CHANNELS)
    throw refused(`channels must be a whole number from 1 to ${MAX_CHANNELS}.`);
  if (query.get('multichannel') === 'true' && channels > 1)
    throw refused(
      'Channels are mixed into one here. Leave multichannel out, or open a stream for each channel.',
    );
  return { encoding, rate, channels };
}

/** Without its region; undefined where any may be spoken. */
export function languageOf(tag: string | null | undefined): string | undefined {
  const language = tag?.split(/[-_]/)[0]?.toLowerCase();
  return language === 'multi' ? undefined : language || undefined;
}

function number(query: URLSearchParams, name: string, { word = false } = {}): number | undefined {
  const text = query.get(name);
  if (text === null || text === '') return undefined;
  if (word && (text === 'true' || text === 'false')) return undefined;
  const value = Number(text);
  if (!Number.isFinite(value) || value < 0) throw refused(`${name} must be a number.`);
  return value;
}

function within(value: number | undefined, min: number, max: number): number {
  return Math.min(max, Math.max(min, value ?? min));
}

function refused(message: string): VoiceError {
  return new VoiceError('invalid_message', { message });
}
