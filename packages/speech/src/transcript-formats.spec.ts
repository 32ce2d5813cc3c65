import { describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import { SAMPLE_RATE } from './pcm.ts';
import { formatTranscript, segmentsOf, toSrt, toVerboseJson, toVtt } from './transcript-formats.ts';
import type { Word } from './words.ts';

/** One word a line: its text, and from when to when it was said, in seconds. */
const word = (text: string, from: number, to: number, confidence?: number): Word => ({
  text,
  startSample: Math.round(from * SAMPLE_RATE),
  endSample: Math.round(to * SAMPLE_RATE),
  ...(confidence !== undefined && { confidence }),
});
const HELLO = [word(' Hello', 0.5, 0.9), word(' there', 1, 1.25), word(' friend', 3, 3.5)];
const transcript = (words: readonly Word[], seconds = 4) => ({
  words,
  durationSamples: seconds * SAMPLE_RATE,
});

describe('segments', () => {
  it('end where the speaker paused', () => {
    expect(segmentsOf(HELLO).map(({ text, start, end }) => [text, start, end])).toEqual([
      ['Hello there', 0.5, 1.25],
      ['friend', 3, 3.5],
    ]);
  });

  it('end with a sentence, but not with a very short one', () => {
    const said = 'Yes. That is all I know. Ask him.'
      .split(/(?= )/)
      .map((text, index) => word(text, index, index + 1));
    expect(segmentsOf(said).map(({ text }) => text)).toEqual([
      'Yes. That is all I know.',
      'Ask him.',
    ]);
  });

  it('never cut off a piece of a word', () => {
    const pieces = [word(' tran', 0, 1), word('script', 9, 10), word(' next', 19, 20)];
    expect(segmentsOf(pieces).map(({ text }) => text)).toEqual(['transcript', 'next']);
  });

  it('hold each word once, in order, and never overlap', () => {
    const anyWord = fc.record({
      text: fc.constantFrom(' a', ' dreadfully', ' end.', 'ing', ' '),
      gap: fc.integer({ min: 0, max: 40_000 }),
      length: fc.integer({ min: 0, max: 16_000 }),
    });
    fc.assert(
      fc.property(fc.array(anyWord, { maxLength: 80 }), (plan) => {
        let at = 0;
        const words = plan.map(({ text, gap, length }) => {
          const startSample = at + gap;
          at = startSample + length;
          return { text, startSample, endSample: at };
        });
        const segments = segmentsOf(words);
        const joined = segments.map(({ text }) => text).join('');
        const said = words.map(({ text }) => text).join('');
        expect(joined.replace(/\s/g, '')).toBe(said.replace(/\s/g, ''));
        for (const [index, { start, end }] of segments.entries()) {
          expect(end).toBeGreaterThanOrEqual(start);
          expect(start).toBeGreaterThanOrEqual(segments[index - 1]?.end ?? 0);
        }
      }),
    );
  });
});

describe('a transcript', () => {
  it('as SubRip has numbered cues with commas in their times', () => {
    expect(toSrt(transcript(HELLO))).toBe(
      '1\n00:00:00,500 --> 00:00:01,250\nHello there\n\n2\n00:00:03,000 --> 00:00:03,500\nfriend\n',
    );
  });

  it('as WebVTT begins with its name, and text is no markup', () => {
    const late = [word(' <b> & co', 3_661.5, 3_662)];
    expect(toVtt(transcript(late, 4_000))).toBe(
      'WEBVTT\n\n01:01:01.500 --> 01:01:02.000\n&lt;b&gt; &amp; co\n',
    );
  });

  it('of silence is empty in each form, not broken', () => {
    expect(toSrt(transcript([]))).toBe('');
    expect(toVtt(transcript([]))).toBe('WEBVTT\n');
    expect(formatTranscript(transcript([]), 'text').body).toBe('');
    expect(toVerboseJson(transcript([]))).toMatchObject({ text: '', segments: [], duration: 4 });
  });

  it('as verbose_json has all ten fields of each segment, none of them null', () => {
    const { segments = [], ...rest } = toVerboseJson(transcript(HELLO));
    expect(rest).toEqual({
      task: 'transcribe',
      language: 'english',
      duration: 4,
      text: 'Hello there friend',
      usage: { type: 'duration', seconds: 4 },
    });
    expect(Object.keys(segments[0] ?? {}).sort()).toEqual(
      [
        ...['avg_logprob', 'compression_ratio', 'end', 'id', 'no_speech_prob', 'seek', 'start'],
        ...['temperature', 'text', 'tokens'],
      ].sort(),
    );
    expect(segments[1]).toMatchObject({ id: 1, seek: 300, start: 3, end: 3.5, text: ' friend' });
  });

  it('as verbose_json has words where they are asked for, each whole and alone', () => {
    const pieces = [word(' tran', 0, 1), word('script', 1, 2), word(' over', 2, 3)];
    const answer = toVerboseJson(transcript(pieces), { segments: false, words: true });
    expect(answer.words).toEqual([
      { word: 'transcript', start: 0, end: 2 },
      { word: 'over', start: 2, end: 3 },
    ]);
    expect(answer).not.toHaveProperty('segments');
  });

  it('tells how sure the engine was, where it says so', () => {
    const sure = [word(' one', 0, 1, 1), word(' two', 1, 2, 0.5)];
    const [segment] = toVerboseJson(transcript(sure)).segments ?? [];
    expect(segment?.avg_logprob).toBeCloseTo(Math.log(0.5) / 2, 3);
  });

  it('names its language in English, and takes a name for itself', () => {
    const named = (language: string) => toVerboseJson({ ...transcript([]), language }).language;
    expect([named('de'), named('english'), named('not a tag!')]).toEqual([
      'german',
      'english',
      'not a tag!',
    ]);
  });

  it.each([
    [
      'json',
      'application/json; charset=utf-8',
      '{"text":"Hello there friend","usage":{"type":"duration","seconds":4}}',
    ],
    ['text', 'text/plain; charset=utf-8', 'Hello there friend'],
  ] as const)('as %s has the right type', (format, contentType, body) => {
    expect(formatTranscript(transcript(HELLO), format)).toEqual({ contentType, body });
  });
});
