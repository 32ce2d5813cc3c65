import { Controller, Get, Inject } from '@nestjs/common';
import { MODELS_PATH, type ModelList } from '@voice-fleet/protocol/openai-rest';
import { systemClock } from '@voice-fleet/runtime/clock';
import { ChatService } from './chat-service.ts';
import { SpeechService } from './speech-service.ts';

/** What chats and what speaks here, for the gateway, which lists it with what transcribes. */
@Controller()
export class ModelsController {
  readonly #chat: ChatService;
  readonly #speech: SpeechService;
  readonly #created = Math.floor(systemClock.wallNow() / 1000);

  constructor(
    @Inject(ChatService) chat: ChatService,
    @Inject(SpeechService) speech: SpeechService,
  ) {
    this.#chat = chat;
    this.#speech = speech;
  }

  @Get(MODELS_PATH)
  models(): ModelList {
    const ids = new Set([...this.#chat.models, ...this.#speech.models]);
    const created = this.#created;
    return {
      object: 'list',
      data: [...ids].map((id) => ({ id, object: 'model', created, owned_by: 'voice-fleet' })),
    };
  }
}
