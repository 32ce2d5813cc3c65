import type { ServerResponse } from 'node:http';
import { Controller, Header, HttpCode, Inject, Post, Req, Res } from '@nestjs/common';
import { VoiceError } from '@voice-fleet/protocol/errors';
import { formatTranscript } from '@voice-fleet/speech/transcript-formats';
import { joinText } from '@voice-fleet/speech/words';
import { type RecordingRequest, Recordings } from './recordings.ts';
import { TranscriptionStream } from './transcription-stream.ts';
import { type TranscriptionWishes, transcriptionWishes } from './transcription-wishes.ts';

/** Whole recordings in, transcripts out, as clients of OpenAI ask for them; see docs/http.md. */
@Controller('/v1/audio')
export class TranscriptionsController {
  readonly #recordings: Recordings;

  constructor(@Inject(Recordings) recordings: Recordings) {
    this.#recordings = recordings;
  }

  @Post('transcriptions')
  @HttpCode(200)
  @Header('Cache-Control', 'no-store')
  async transcriptions(
    @Req() request: RecordingRequest,
    @Res() response: ServerResponse,
  ): Promise<void> {
    const stream = new TranscriptionStream(response);
    let wishes: TranscriptionWishes | undefined;
    try {
      await this.#recordings.serve(
        request,
        response,
        (transcription) => {
          if (wishes?.stream) return stream.finish(transcription);
          const { format = 'json', parts, language } = wishes ?? {};
          const { contentType, body } = formatTranscript(
            { ...transcription, language },
            format,
            parts,
          );
          response.setHeader('Content-Type', contentType);
          response.end(body);
        },
        ({ fields }) => {
          wishes = transcriptionWishes(fields);
          const { model } = wishes;
          if (!wishes.stream) return { model };
          return { model, onWords: (words) => stream.add(joinText(words)) };
        },
      );
    } catch (error) {
      if (stream.begun)
        stream.fail(
          error instanceof VoiceError ? error : new VoiceError('internal', { cause: error }),
        );
      throw error;
    }
  }

  /** Known to clients, and not to be had: better said than left to a path that does not exist. */
  @Post('translations')
  translations(): never {
    throw new VoiceError('invalid_message', {
      message: 'Nothing is translated here. Use /v1/audio/transcriptions, and translate its text.',
    });
  }
}
