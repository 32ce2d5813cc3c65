import type { IncomingMessage, ServerResponse } from 'node:http';
import { Controller, Inject, Post, Req, Res } from '@nestjs/common';
import { AUDIO_CHAT_PATH } from '@voice-fleet/protocol/chunk';
import { VoiceError } from '@voice-fleet/protocol/errors';
import type { Logger } from '@voice-fleet/telemetry/logger';
import { credentialOf } from '../auth/credentials.ts';
import { relay, type Upstream } from './relay.ts';
import type { Authenticate } from './usage.controller.ts';

/** What carries requests for a reply from audio to llm-tts. A class, so that Nest can hand it over by type. */
export abstract class AudioChatRoute {
  abstract readonly authenticate: Authenticate;
  abstract readonly upstream: Upstream;
  abstract readonly log: Pick<Logger, 'warn'>;
}

/** A reply straight from audio. The gateway says who may have one and carries it, both ways as it comes; llm-tts makes it. */
@Controller(AUDIO_CHAT_PATH)
export class AudioChatController {
  readonly #route: AudioChatRoute;

  constructor(@Inject(AudioChatRoute) route: AudioChatRoute) {
    this.#route = route;
  }

  @Post()
  async post(@Req() request: IncomingMessage, @Res() response: ServerResponse): Promise<void> {
    const { authenticate, upstream, log } = this.#route;
    await authenticate(credentialOf(request.headers), 'stream');
    // Another body may have been read already, so that nothing of it could be carried.
    if (!/^multipart\/form-data\b/i.test(request.headers['content-type'] ?? ''))
      throw new VoiceError('unsupported_media_type', {
        message: 'The body must be multipart/form-data.',
      });
    try {
      await relay(request, response, upstream);
    } catch (error) {
      if (error instanceof VoiceError && error.code === 'worker_unavailable')
        log.warn({ event: 'llm_tts_away', err: error.cause });
      throw error;
    }
  }
}
