import type { ServerResponse } from 'node:http';
import { Body, Controller, Inject, Post, Res } from '@nestjs/common';
import { CONTENT_TYPES } from '@voice-fleet/media/encode/encoder';
import { VoiceError } from '@voice-fleet/protocol/errors';
import { openAiError } from '@voice-fleet/protocol/openai-error';
import { SPEECH_PATH, SpeechRequest } from '@voice-fleet/protocol/openai-rest';
import { systemClock } from '@voice-fleet/runtime/clock';
import { ResponseStream } from '../http/response-stream.ts';
import { ApiRequests } from './api-requests.ts';
import { parseRequest } from './parse-request.ts';
import { SpeechService, type SpokenPiece } from './speech-service.ts';

/** A client that takes nothing for so long is let go. */
const STALL_MS = 60_000;
const SSE = 'text/event-stream; charset=utf-8';
/** Audio that counts as one token, as OpenAI counts its own. */
const TOKEN_MS = 50;

/** Text in, speech out while it is still being made: as sound, or as events that carry it. */
@Controller()
export class SpeechController {
  readonly #requests: ApiRequests;
  readonly #speech: SpeechService;

  constructor(
    @Inject(ApiRequests) requests: ApiRequests,
    @Inject(SpeechService) speech: SpeechService,
  ) {
    this.#requests = requests;
    this.#speech = speech;
  }

  @Post(SPEECH_PATH)
  async speak(@Body() body: unknown, @Res() response: ServerResponse): Promise<void> {
    const request = parseRequest(SpeechRequest, body);
    const isSse = request.stream_format === 'sse';
    const stream = new ResponseStream(response, { clock: systemClock, stallMs: STALL_MS });
    try {
      await this.#requests.run('speech', stream.signal, async (signal) => {
        const pieces = this.#speech.speak(request, signal);
        // Whatever is wrong shows with the first of it, and can still be answered.
        const first = await pieces.next();
        stream.begin(isSse ? SSE : CONTENT_TYPES[request.response_format]);
        if (isSse) await sendEvents(stream, first, pieces, request.input);
        else await sendSound(stream, first, pieces);
        stream.end();
      });
    } catch (error) {
      if (stream.signal.aborted) return;
      // It was told as the last event.
      if (isSse && response.headersSent && error instanceof VoiceError) return stream.end();
      // Sound that has begun is cut off by the filter: it must not look whole.
      throw error;
    }
  }
}

async function sendSound(
  stream: ResponseStream,
  first: IteratorResult<SpokenPiece>,
  rest: AsyncGenerator<SpokenPiece>,
): Promise<void> {
  if (!first.done) await stream.write(first.value.bytes);
  for await (const { bytes } of rest) await stream.write(bytes);
}

async function sendEvents(
  stream: ResponseStream,
  first: IteratorResult<SpokenPiece>,
  rest: AsyncGenerator<SpokenPiece>,
  input: string,
): Promise<void> {
  const send = (event: object): Promise<void> => stream.write(`data: ${JSON.stringify(event)}\n\n`);
  let audioMs = 0;
  const tell = (piece: SpokenPiece): Promise<void> => {
    audioMs = piece.audioMs;
    return send({ type: 'speech.audio.delta', audio: piece.bytes.toString('base64') });
  };
  try {
    if (!first.done) await tell(first.value);
    for await (const piece of rest) await tell(piece);
  } catch (error) {
    if (stream.signal.aborted || !(error instanceof VoiceError)) throw error;
    await send({ error: openAiError(error) });
    throw error;
  }
  const inputTokens = input.match(/\S+/g)?.length ?? 0;
  const outputTokens = Math.ceil(audioMs / TOKEN_MS);
  await send({
    type: 'speech.audio.done',
    usage: {
      input_tokens: inputTokens,
      output_tokens: outputTokens,
      total_tokens: inputTokens + outputTokens,
    },
  });
}
