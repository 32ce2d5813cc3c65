import { createHash } from 'node:crypto';
import type { ServerResponse } from 'node:http';
import { Controller, Header, HttpCode, Inject, Post, Query, Req, Res } from '@nestjs/common';
import type { DeepgramWord } from '@voice-fleet/protocol/deepgram';
import { VoiceError } from '@voice-fleet/protocol/errors';
import {
  confidenceOf,
  secondsOf,
  transcriptOf,
  wordsOf,
} from '../dialects/deepgram-listen/words.ts';
import { type RecordingRequest, Recordings } from './recordings.ts';
import { requestIdOf } from './request-id.ts';

/** A type, not an interface, so that it can be answered as plain JSON. */
export type DeepgramRecording = {
  metadata: {
    transaction_key: 'deprecated';
    request_id: string;
    sha256: string;
    created: string;
    /** In seconds. */
    duration: number;
    channels: number;
    models: string[];
    model_info: Record<string, { name: string; version: string; arch: string }>;
  };
  results: {
    channels: {
      alternatives: { transcript: string; confidence: number; words: DeepgramWord[] }[];
    }[];
  };
};

/** Whole recordings, as clients of Deepgram send them; see docs/protocols/deepgram.md. */
@Controller('/v1/listen')
export class DeepgramListenController {
  readonly #recordings: Recordings;

  constructor(@Inject(Recordings) recordings: Recordings) {
    this.#recordings = recordings;
  }

  @Post()
  @HttpCode(200)
  @Header('Cache-Control', 'no-store')
  async listen(
    @Req() request: RecordingRequest,
    @Res({ passthrough: true }) response: ServerResponse,
    @Query() query: Readonly<Record<string, unknown>>,
  ): Promise<DeepgramRecording> {
    if (/^application\/json\b/i.test(request.headers['content-type'] ?? ''))
      throw new VoiceError('invalid_message', {
        message: 'Recordings are not fetched from a URL here. Send the recording itself.',
      });
    const hash = createHash('sha256');
    return this.#recordings.serve(
      request,
      response,
      ({ words: heard, durationSamples, model: name }) => {
        const words = wordsOf(heard);
        const punctuate = query['punctuate'] === 'true' || query['smart_format'] === 'true';
        const transcript = transcriptOf(heard, punctuate);
        return {
          metadata: {
            transaction_key: 'deprecated',
            request_id: requestIdOf(response),
            sha256: hash.digest('hex'),
            created: new Date().toISOString(),
            duration: secondsOf(durationSamples),
            channels: 1,
            models: [name],
            model_info: { [name]: { name, version: 'unknown', arch: 'unknown' } },
          },
          results: {
            channels: [{ alternatives: [{ transcript, confidence: confidenceOf(words), words }] }],
          },
        };
      },
      ({ bytes }) => {
        hash.update(bytes);
        const { model } = query;
        return typeof model === 'string' && model !== '' ? { model } : {};
      },
    );
  }
}
