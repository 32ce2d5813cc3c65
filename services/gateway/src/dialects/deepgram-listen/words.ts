import type { DeepgramWord } from '@voice-fleet/protocol/deepgram';
import type { LinkWord } from '@voice-fleet/protocol/link';
import { SAMPLE_RATE } from '@voice-fleet/speech/pcm';
import { wholeWords } from '@voice-fleet/speech/transcript-formats';
import { joinText } from '@voice-fleet/speech/words';

const EDGES = /^[^\p{L}\p{M}\p{N}]+|[^\p{L}\p{M}\p{N}]+$/gu;

export function secondsOf(samples: number): number {
  return Math.round((samples / SAMPLE_RATE) * 1000) / 1000;
}

/** As Deepgram writes them. Those without a letter or a digit belong to the word before and are none. */
export function wordsOf(words: readonly LinkWord[]): DeepgramWord[] {
  return wholeWords(words).flatMap((whole) => {
    const { text: punctuated_word, startSample, endSample, confidence = 1 } = whole;
    const word = punctuated_word.toLowerCase().replace(EDGES, '');
    if (word === '') return [];
    return [
      {
        word,
        start: secondsOf(startSample),
        end: secondsOf(endSample),
        confidence,
        punctuated_word,
      },
    ];
  });
}

/** What was said: as it is written, or in plain words. */
export function transcriptOf(words: readonly LinkWord[], punctuate: boolean): string {
  if (punctuate) return joinText(words).trim();
  return wordsOf(words)
    .map(({ word }) => word)
    .join(' ');
}

/** An engine's guess has no times: its words are spread over the audio behind those that have. */
export function guessedWords(tail: string, fromSample: number, toSample: number): LinkWord[] {
  const texts = tail.match(/\s*\S+/gu) ?? [];
  const step = Math.max(0, toSample - fromSample) / Math.max(1, texts.length);
  return texts.map((text, index) => ({
    text,
    startSample: Math.round(fromSample + index * step),
    endSample: Math.round(fromSample + (index + 1) * step),
  }));
}

/** The mean of all words; 0 when there are none. */
export function confidenceOf(words: readonly DeepgramWord[]): number {
  if (words.length === 0) return 0;
  const sum = words.reduce((total, { confidence }) => total + confidence, 0);
  return Math.round((sum / words.length) * 1e4) / 1e4;
}
