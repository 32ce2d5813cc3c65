import type { IncomingMessage, ServerResponse } from 'node:http';
import { Controller, Inject, Post, Req, Res } from '@nestjs/common';
import { VoiceError } from '@voice-fleet/protocol/errors';
import { CHAT_COMPLETIONS_PATH, SPEECH_PATH } from '@voice-fleet/protocol/openai-rest';
import type { Logger } from '@voice-fleet/telemetry/logger';
import type { Counter } from 'prom-client';
import { credentialOf } from '../auth/credentials.ts';
import { relay, type Upstream } from './relay.ts';
import type { Authenticate } from './usage.controller.ts';

export const RELAYED_ROUTES = ['speech', 'chat'] as const;
export type RelayedRoute = (typeof RELAYED_ROUTES)[number];

/** What carries requests for speech and chat to llm-tts. A class, so that Nest can hand it over by type. */
export abstract class LlmRelay {
  abstract readonly authenticate: Authenticate;
  abstract readonly upstreams: Readonly<Record<RelayedRoute, Upstream>>;
  abstract readonly relayed: Pick<Counter, 'inc'>;
  abstract readonly log: Pick<Logger, 'warn'>;
}

/** Speech and chat as OpenAI's clients ask for them. The gateway says who may, and carries them both ways as they come; llm-tts makes them. */
@Controller()
export class LlmRelayController {
  readonly #relay: LlmRelay;

  constructor(@Inject(LlmRelay) relay: LlmRelay) {
    this.#relay = relay;
  }

  @Post(SPEECH_PATH)
  speech(@Req() request: IncomingMessage, @Res() response: ServerResponse): Promise<void> {
    return this.#carry('speech', request, response);
  }

  @Post(CHAT_COMPLETIONS_PATH)
  chat(@Req() request: IncomingMessage, @Res() response: ServerResponse): Promise<void> {
    return this.#carry('chat', request, response);
  }

  async #carry(
    route: RelayedRoute,
    request: IncomingMessage,
    response: ServerResponse,
  ): Promise<void> {
    const { authenticate, upstreams, relayed, log } = this.#relay;
    let outcome = 'served';
    try {
      await authenticate(credentialOf(request.headers), 'stream');
      // Another body could not be read behind this.
      if (!/^application\/json\b/i.test(request.headers['content-type'] ?? ''))
        throw new VoiceError('unsupported_media_type', {
          message: 'The body must be JSON: send Content-Type: application/json.',
        });
      await relay(request, response, upstreams[route]);
    } catch (error) {
      outcome = error instanceof VoiceError && error.status < 500 ? 'refused' : 'failed';
      if (error instanceof VoiceError && error.code === 'worker_unavailable')
        log.warn({ event: 'llm_tts_away', err: error.cause });
      throw error;
    } finally {
      relayed.inc({ route, outcome });
    }
  }
}
