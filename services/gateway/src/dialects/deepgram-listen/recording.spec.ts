import { expect, it } from '@jest/globals';
import { DeepgramRecording } from '@voice-fleet/protocol/deepgram';
import type { LinkWord } from '@voice-fleet/protocol/link';
import { parseRecordingQuery, recordingAnswer, sha256Of } from './recording.ts';

const word = (text: string, fromS: number, toS: number): LinkWord => ({
  text,
  startSample: fromS * 16_000,
  endSample: toS * 16_000,
});
// A piece of a word is none.
const words = [
  word('He', 0, 0.2),
  word('llo.', 0.2, 0.5),
  word(' Good', 2, 2.2),
  word('-bye!', 2.2, 3),
];
const answer = (query: string): DeepgramRecording =>
  DeepgramRecording.parse(
    recordingAnswer(
      { words, durationSamples: 64_000, model: 'm', createdAtS: 0 },
      parseRecordingQuery(new URLSearchParams(query)),
      { requestId: 'r', sha256: sha256Of(Buffer.from('abc')) },
    ),
  );

it('tells the whole words of a recording, in plain words unless more is asked for', () => {
  const plain = answer('model=nova-3&diarize=true');
  expect(plain.results.channels[0]?.alternatives[0]).toEqual({
    transcript: 'hello good-bye',
    confidence: 1,
    words: [
      { word: 'hello', punctuated_word: 'Hello.', start: 0, end: 0.5, confidence: 1 },
      { word: 'good-bye', punctuated_word: 'Good-bye!', start: 2, end: 3, confidence: 1 },
    ],
  });
  expect(plain.results).not.toHaveProperty('utterances');
  for (const query of ['punctuate=true', 'smart_format=true', 'paragraphs=true'])
    expect(answer(query).results.channels[0]?.alternatives[0]?.transcript).toBe('Hello. Good-bye!');
});

it('tells of the recording what was sent, and what it was transcribed with', () => {
  expect(answer('').metadata).toEqual({
    transaction_key: 'deprecated',
    request_id: 'r',
    sha256: 'ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad',
    created: '1970-01-01T00:00:00.000Z',
    duration: 4,
    channels: 1,
    models: ['m'],
    model_info: { m: { name: 'm', version: 'unknown', arch: 'unknown' } },
  });
});

it('tells utterances apart where its speaker paused, if asked to', () => {
  const { utterances = [] } = answer('utterances=true&punctuate=true').results;
  expect(utterances.map(({ start, end, transcript }) => [start, end, transcript])).toEqual([
    [0, 0.5, 'Hello.'],
    [2, 3, 'Good-bye!'],
  ]);
});
