import { deflateSync } from 'node:zlib';
import { SAMPLE_RATE } from './pcm.ts';
import { beginsWord, joinText, type Word } from './words.ts';

/** Every form in which a finished transcript can be had. */
export const TRANSCRIPT_FORMATS = ['json', 'text', 'verbose_json', 'srt', 'vtt'] as const;
export type TranscriptFormat = (typeof TRANSCRIPT_FORMATS)[number];

/** A whole transcript. Samples of the words are counted from the start of the recording. */
export interface Transcript {
  readonly words: readonly Word[];
  readonly durationSamples: number;
  /** ISO 639-1; absent: it is not known. */
  readonly language?: string | undefined;
}

/** Some words that are read at once. Times are seconds. */
export interface TranscriptSegment {
  readonly id: number;
  readonly start: number;
  readonly end: number;
  /** Without white space around it. */
  readonly text: string;
  readonly words: readonly Word[];
}

/** A silence as long as this begins another segment. */
const PAUSE_SAMPLES = 0.8 * SAMPLE_RATE;
/** About two lines of a subtitle. */
const MAX_CHARS = 84;
const MAX_SAMPLES = 7 * SAMPLE_RATE;
/** A sentence that is over begins another segment, unless it is as short as "Yes." */
const MIN_SENTENCE_CHARS = 12;
const ENDS_SENTENCE = /[.!?。！？…]["'”’»)\]]*$/u;
/** A cue without length is shown by no player. */
const MIN_CUE_MS = 1;

/** Cuts a transcript where its speaker paused, ended a sentence, or has said as much as can be read at once. Every word is in one of them. */
export function segmentsOf(words: readonly Word[]): readonly TranscriptSegment[] {
  const segments: TranscriptSegment[] = [];
  let open: Word[] = [];
  let text = '';
  const close = (): void => {
    const first = open[0];
    const last = open.at(-1);
    if (first && last && text.trim() !== '') {
      const start = seconds(first.startSample);
      const end = Math.max(start, seconds(last.endSample));
      segments.push({ id: segments.length, start, end, text: text.trim(), words: open });
    }
    open = [];
    text = '';
  };
  for (const word of words) {
    const first = open[0];
    const last = open.at(-1);
    // A piece of a word is never cut off.
    if (first && last && startsWord(last, word)) {
      const pause = word.startSample - last.endSample >= PAUSE_SAMPLES;
      const long =
        text.trim().length + word.text.length > MAX_CHARS ||
        word.endSample - first.startSample > MAX_SAMPLES;
      const sentence = text.trim().length >= MIN_SENTENCE_CHARS && ENDS_SENTENCE.test(text.trim());
      if (pause || long || sentence) close();
    }
    open.push(word);
    text += word.text;
  }
  close();
  return segments;
}

/** SubRip: cues numbered from 1, times with a comma. Empty when nothing was said. */
export function toSrt({ words }: Transcript): string {
  return cues(words, ',')
    .map(({ times, text }, index) => `${index + 1}\n${times}\n${text}\n`)
    .join('\n');
}

/** WebVTT. */
export function toVtt({ words }: Transcript): string {
  const body = cues(words, '.').map(({ times, text }) => `\n${times}\n${escapeVtt(text)}\n`);
  return `WEBVTT\n${body.join('')}`;
}

/** The whole text, without white space around it. */
export function toText({ words }: Transcript): string {
  return joinText(words).trim();
}

/** Body of `json`. A type, so that it can be answered as plain JSON. */
export type JsonTranscript = {
  text: string;
  usage: { type: 'duration'; seconds: number };
};

export function toJson(transcript: Transcript): JsonTranscript {
  const seconds = Math.ceil(transcript.durationSamples / SAMPLE_RATE);
  return { text: toText(transcript), usage: { type: 'duration', seconds } };
}

/** Body of `verbose_json`. Some clients refuse a segment that lacks one of its ten fields, or a duration that is no number. */
export type VerboseTranscript = {
  task: 'transcribe';
  /** English name of the language. */
  language: string;
  duration: number;
  text: string;
  segments?: VerboseSegment[];
  words?: VerboseWord[];
  usage: { type: 'duration'; seconds: number };
};
export type VerboseSegment = {
  id: number;
  seek: number;
  start: number;
  end: number;
  text: string;
  tokens: number[];
  temperature: number;
  avg_logprob: number;
  compression_ratio: number;
  no_speech_prob: number;
};
export type VerboseWord = { word: string; start: number; end: number };

export interface VerboseParts {
  readonly segments: boolean;
  readonly words: boolean;
}

/** `parts`: what the client asked for; segments alone if it did not say. */
export function toVerboseJson(
  transcript: Transcript,
  parts: VerboseParts = { segments: true, words: false },
): VerboseTranscript {
  const { words, durationSamples, language } = transcript;
  return {
    task: 'transcribe',
    language: languageName(language),
    duration: seconds(durationSamples),
    text: toText(transcript),
    ...(parts.segments && { segments: segmentsOf(words).map(verboseSegment) }),
    ...(parts.words && { words: verboseWords(words) }),
    usage: toJson(transcript).usage,
  };
}

/** What a format is answered as; `body` is sent as it is. */
export interface FormattedTranscript {
  readonly contentType: string;
  readonly body: string;
}

/** A finished transcript as a client asked for it. `parts` counts for `verbose_json` alone. */
export function formatTranscript(
  transcript: Transcript,
  format: TranscriptFormat,
  parts?: VerboseParts,
): FormattedTranscript {
  switch (format) {
    case 'json':
      return json(toJson(transcript));
    case 'verbose_json':
      return json(toVerboseJson(transcript, parts));
    case 'text':
      return plain(toText(transcript));
    case 'srt':
      return plain(toSrt(transcript));
    case 'vtt':
      return plain(toVtt(transcript));
  }
}

/** Words as they are written alone: pieces of a word are joined, white space around them is gone. */
export function wholeWords(words: readonly Word[]): readonly Word[] {
  const whole: Word[] = [];
  for (const word of words) {
    const last = whole.at(-1);
    if (last === undefined || startsWord(last, word)) whole.push(word);
    else
      whole[whole.length - 1] = {
        ...last,
        text: last.text + word.text,
        endSample: Math.max(last.endSample, word.endSample),
      };
  }
  return whole
    .map((word) => ({ ...word, text: word.text.trim() }))
    .filter(({ text }) => text !== '');
}

function startsWord(last: Word, word: Word): boolean {
  return /\s$/u.test(last.text) || beginsWord(last.text, word.text);
}

function verboseSegment({ id, start, end, text, words }: TranscriptSegment): VerboseSegment {
  const sure = words.flatMap(({ confidence }) => (confidence === undefined ? [] : [confidence]));
  // Engines without a posterior have none of these: 0 is what is neither sure nor doubtful to those who filter by them.
  const logprobs = sure.map((confidence) => Math.log(Math.max(confidence, 1e-6)));
  const avgLogprob = logprobs.reduce((sum, one) => sum + one, 0) / Math.max(1, logprobs.length);
  return {
    id,
    seek: Math.round(start * 100),
    start,
    end,
    text: ` ${text}`,
    tokens: [],
    temperature: 0,
    avg_logprob: round(avgLogprob, 4),
    compression_ratio: round(compressionRatio(text), 4),
    no_speech_prob: 0,
  };
}

/** How often a text repeats itself: clients take a high one for a model that has gone astray. */
function compressionRatio(text: string): number {
  const bytes = Buffer.from(text);
  return bytes.length / deflateSync(bytes).length;
}

function verboseWords(words: readonly Word[]): VerboseWord[] {
  return wholeWords(words).map(({ text, startSample, endSample }) => ({
    word: text,
    start: seconds(startSample),
    end: seconds(Math.max(startSample, endSample)),
  }));
}

function cues(words: readonly Word[], mark: ',' | '.'): { times: string; text: string }[] {
  const segments = segmentsOf(words);
  return segments.map(({ start, end, text }, index) => {
    const fromMs = Math.round(start * 1000);
    const nextMs = Math.round((segments[index + 1]?.start ?? Number.POSITIVE_INFINITY) * 1000);
    const toMs = Math.max(fromMs + MIN_CUE_MS, Math.min(Math.round(end * 1000), nextMs));
    // An empty line would end the cue.
    const line = text.replace(/\s*\n\s*/g, ' ');
    return { times: `${timestamp(fromMs, mark)} --> ${timestamp(toMs, mark)}`, text: line };
  });
}

function escapeVtt(text: string): string {
  return text.replace(/&/g, '&amp;').replace(/</g, '&lt;').replace(/>/g, '&gt;');
}

function timestamp(ms: number, mark: ',' | '.'): string {
  const two = (value: number): string => String(Math.floor(value)).padStart(2, '0');
  const rest = String(ms % 1000).padStart(3, '0');
  return `${two(ms / 3_600_000)}:${two((ms / 60_000) % 60)}:${two((ms / 1000) % 60)}${mark}${rest}`;
}

function seconds(samples: number): number {
  return round(samples / SAMPLE_RATE, 3);
}

function round(value: number, digits: number): number {
  const factor = 10 ** digits;
  return Math.round(value * factor) / factor;
}

const NAMES = new Intl.DisplayNames('en', { type: 'language', fallback: 'code' });

/** English, if nothing is known: what the engines here hear unless they are told otherwise. */
function languageName(code = 'en'): string {
  try {
    return (NAMES.of(code) ?? code).toLowerCase();
  } catch {
    return code.toLowerCase();
  }
}

function json(value: unknown): FormattedTranscript {
  return { contentType: 'application/json; charset=utf-8', body: JSON.stringify(value) };
}

function plain(body: string): FormattedTranscript {
  return { contentType: 'text/plain; charset=utf-8', body };
}
