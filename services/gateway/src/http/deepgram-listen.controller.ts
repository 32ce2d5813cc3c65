import type { ServerResponse } from 'node:http';
import { Controller, Header, HttpCode, Inject, Post, Req, Res } from '@nestjs/common';
import type { DeepgramRecording } from '@voice-fleet/protocol/deepgram';
import { VoiceError } from '@voice-fleet/protocol/errors';
import {
  parseRecordingQuery,
  recordingAnswer,
  sha256Of,
} from '../dialects/deepgram-listen/recording.ts';
import { type RecordingRequest, Recordings } from './recordings.ts';
import { requestIdOf } from './request-id.ts';

const JSON_TYPE = /^application\/json\b/i;

/** Whole recordings in, transcripts out, as clients of Deepgram ask for them; see docs/protocols/deepgram.md. */
@Controller('/v1/listen')
export class DeepgramListenController {
  readonly #recordings: Recordings;

  constructor(@Inject(Recordings) recordings: Recordings) {
    this.#recordings = recordings;
  }

  @Post()
  @HttpCode(200)
  @Header('Cache-Control', 'no-store')
  listen(
    @Req() request: RecordingRequest & { readonly url: string },
    @Res({ passthrough: true }) response: ServerResponse,
  ): Promise<DeepgramRecording> {
    if (JSON_TYPE.test(request.headers['content-type'] ?? '')) {
      request.resume();
      throw new VoiceError('invalid_message', {
        message:
          'Recordings are not fetched from elsewhere. Send the recording itself as the body.',
      });
    }
    const [, query] = request.url.split('?', 2);
    const wishes = parseRecordingQuery(new URLSearchParams(query));
    let sha256 = '';
    return this.#recordings.serve(
      request,
      response,
      (transcription) =>
        recordingAnswer(transcription, wishes, {
          requestId: requestIdOf(response),
          sha256,
        }),
      ({ bytes }) => {
        sha256 = sha256Of(bytes);
        return { model: wishes.model };
      },
    );
  }
}
