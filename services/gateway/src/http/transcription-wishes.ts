import { VoiceError } from '@voice-fleet/protocol/errors';
import {
  TRANSCRIPT_FORMATS,
  type TranscriptFormat,
  type VerboseParts,
} from '@voice-fleet/speech/transcript-formats';
import type { Upload } from './upload.ts';

/** What a client of OpenAI's transcriptions asks for. */
export interface TranscriptionWishes {
  /** Absent: whatever is served. */
  readonly model: string | undefined;
  readonly language: string | undefined;
  readonly format: TranscriptFormat;
  /** The words are told as they come. */
  readonly stream: boolean;
  readonly parts: VerboseParts;
}

const FORMATS: ReadonlySet<string> = new Set(TRANSCRIPT_FORMATS);
const GRANULARITIES = new Set(['segment', 'word']);
/** A stream tells text alone. */
const STREAMED: ReadonlySet<TranscriptFormat> = new Set(['json', 'text']);

/**
 * Reads the fields of a form. Those of newer models are let be, as no client could do without them; a format that would not
 * be what was asked for is refused. Throws VoiceError `invalid_message`, with the field as `param`.
 */
export function transcriptionWishes(fields: Upload['fields']): TranscriptionWishes {
  const one = (name: string): string | undefined => fields.get(name)?.at(-1)?.trim() || undefined;
  const format = formatOf(one('response_format') ?? 'json');
  const stream = flagOf('stream', one('stream'));
  if (stream && !STREAMED.has(format))
    throw wrong('stream', `A stream has no ${format}. Ask for json, or leave stream out.`);
  return {
    model: one('model'),
    language: one('language'),
    format,
    stream,
    parts: partsOf(listOf(fields, 'timestamp_granularities')),
  };
}

function formatOf(name: string): TranscriptFormat {
  if (isFormat(name)) return name;
  const message =
    name === 'diarized_json'
      ? 'Speakers are not told apart here, so there is no diarized_json.'
      : 'There is no such response_format.';
  throw wrong('response_format', `${message} Use ${TRANSCRIPT_FORMATS.join(', ')}.`);
}

function isFormat(name: string): name is TranscriptFormat {
  return FORMATS.has(name);
}

function flagOf(param: string, value: string | undefined): boolean {
  switch (value?.toLowerCase()) {
    case undefined:
    case 'false':
    case '0':
      return false;
    case 'true':
    case '1':
      return true;
    default:
      throw wrong(param, `${param} must be true or false.`);
  }
}

/** Clients write arrays with brackets, and some with numbers in them. */
function listOf(fields: Upload['fields'], name: string): readonly string[] {
  const found: string[] = [];
  for (const [field, values] of fields) {
    if (field === name || (field.startsWith(`${name}[`) && field.endsWith(']')))
      found.push(...values.flatMap((value) => value.split(',')).map((value) => value.trim()));
  }
  return found.filter((value) => value !== '');
}

function partsOf(granularities: readonly string[]): VerboseParts {
  const unknown = granularities.find((one) => !GRANULARITIES.has(one));
  if (unknown !== undefined)
    throw wrong('timestamp_granularities', 'timestamp_granularities must be segment or word.');
  const words = granularities.includes('word');
  return { words, segments: !words || granularities.includes('segment') };
}

function wrong(param: string, message: string): VoiceError {
  return new VoiceError('invalid_message', { message, details: { param } });
}
