import { randomUUID } from 'node:crypto';
import { Controller, Header, HttpCode, Inject, Post, Req, Res } from '@nestjs/common';
import { collectReply } from '../voice/spoken-reply.ts';
import type { Transcription } from '../voice/transcriber.ts';
import type { Turns } from '../voice/turn-client.ts';
import { type RecordingRequest, type RecordingResponse, Recordings } from './recordings.ts';

/** Answered by `POST /api/voice`. */
export type VoiceAnswer = {
  id: string;
  transcript: string;
  /** Empty when nothing was said. */
  reply: string;
  /** The whole reply as one WAV file in base64; empty when nothing of it could be spoken. */
  audio_b64: string;
  mime: 'audio/wav';
  /** Names the model that answered; empty when none was asked. */
  model: string;
  /** Phrases of the reply that could not be spoken. */
  missing_phrases: number;
};

/** What answers a speaker. A class, so that Nest can hand it over by type. */
export abstract class TurnSource implements Turns {
  abstract open(...turn: Parameters<Turns['open']>): ReturnType<Turns['open']>;
}

/** Whole recordings in, spoken replies out, where streaming is no choice; see docs/http.md. */
@Controller()
export class SpokenReplyController {
  readonly #recordings: Recordings;
  readonly #turns: TurnSource;

  constructor(@Inject(Recordings) recordings: Recordings, @Inject(TurnSource) turns: TurnSource) {
    this.#recordings = recordings;
    this.#turns = turns;
  }

  @Post('/api/voice')
  @HttpCode(200)
  @Header('Cache-Control', 'no-store')
  voice(
    @Req() request: RecordingRequest,
    @Res({ passthrough: true }) response: RecordingResponse,
  ): Promise<VoiceAnswer> {
    return this.#recordings.serve(request, response, (said, signal) => this.#answer(said, signal));
  }

  async #answer(
    { text, sessionId, tenantId }: Transcription,
    signal: AbortSignal,
  ): Promise<VoiceAnswer> {
    const id = randomUUID();
    const transcript = text.trim();
    const mime = 'audio/wav';
    if (transcript === '')
      return { id, transcript, reply: '', audio_b64: '', mime, model: '', missing_phrases: 0 };
    // Heard when it is whole: nothing need be left out to keep up.
    const turn = { tenant: tenantId, conversation: sessionId, text: transcript, live: false };
    const { wav, model, missingPhrases, ...reply } = await collectReply(
      this.#turns.open(turn, signal),
    );
    return {
      id,
      transcript,
      reply: reply.text.trim(),
      audio_b64: wav?.toString('base64') ?? '',
      mime,
      model,
      missing_phrases: missingPhrases,
    };
  }
}
