import { createHash, randomUUID } from 'node:crypto';
import type { DeepgramRecording } from '@voice-fleet/protocol/deepgram';
import { segmentsOf } from '@voice-fleet/speech/transcript-formats';
import type { Transcription } from '../../voice/transcriber.ts';
import { keepsPunctuation } from './query.ts';
import { confidenceOf, secondsOf, transcriptOf, wordsOf } from './words.ts';

/** What is asked for with the address of a recording. */
export interface RecordingWishes {
  readonly model: string | undefined;
  readonly punctuate: boolean;
  /** What is read at once is told apart. */
  readonly utterances: boolean;
}

/** Whatever is not known here is let be. */
export function parseRecordingQuery(query: URLSearchParams): RecordingWishes {
  return {
    model: query.get('model') || undefined,
    punctuate: keepsPunctuation(query),
    utterances: query.get('utterances') === 'true',
  };
}

/** What the answer tells of the request. */
export interface RecordingFacts {
  readonly requestId: string;
  /** Hash of the recording as it was sent, in hex. */
  readonly sha256: string;
}

export function sha256Of(bytes: Buffer): string {
  return createHash('sha256').update(bytes).digest('hex');
}

/** The answer to a recording. */
export function recordingAnswer(
  transcription: Pick<Transcription, 'words' | 'durationSamples' | 'model' | 'createdAtS'>,
  { punctuate, utterances }: RecordingWishes,
  { requestId, sha256 }: RecordingFacts,
): DeepgramRecording {
  const { words: all, durationSamples, model, createdAtS } = transcription;
  const words = wordsOf(all);
  const transcript = transcriptOf(all, punctuate);
  return {
    metadata: {
      transaction_key: 'deprecated',
      request_id: requestId,
      sha256,
      created: new Date(createdAtS * 1000).toISOString(),
      duration: secondsOf(durationSamples),
      channels: 1,
      models: [model],
      model_info: { [model]: { name: model, version: 'unknown', arch: 'unknown' } },
    },
    results: {
      channels: [{ alternatives: [{ transcript, confidence: confidenceOf(words), words }] }],
      ...(utterances && {
        utterances: segmentsOf(all).map((segment) => {
          const said = wordsOf(segment.words);
          return {
            id: randomUUID(),
            start: segment.start,
            end: segment.end,
            confidence: confidenceOf(said),
            channel: 0,
            transcript: transcriptOf(segment.words, punctuate),
            words: said,
          };
        }),
      }),
    },
  };
}
