import { Controller, Header, HttpCode, Inject, Post, Req, Res } from '@nestjs/common';
import { type RecordingRequest, type RecordingResponse, Recordings } from './recordings.ts';

/** Answered by `POST /transcribe`. A type, not an interface, so that it can be answered as plain JSON. */
export type TranscribeAnswer = { transcript: string };

/** Whole recordings in, text out; see docs/http.md. */
@Controller()
export class TranscribeController {
  readonly #recordings: Recordings;

  constructor(@Inject(Recordings) recordings: Recordings) {
    this.#recordings = recordings;
  }

  @Post('/transcribe')
  @HttpCode(200)
  @Header('Cache-Control', 'no-store')
  transcribe(
    @Req() request: RecordingRequest,
    @Res({ passthrough: true }) response: RecordingResponse,
  ): Promise<TranscribeAnswer> {
    return this.#recordings.serve(request, response, async ({ text }) => ({
      transcript: text.trim(),
    }));
  }
}
