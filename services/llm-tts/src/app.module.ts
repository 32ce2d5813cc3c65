import { type DynamicModule, Module } from '@nestjs/common';
import { APP_FILTER } from '@nestjs/core';
import { ApiRequests } from './api/api-requests.ts';
import { ChatCompletionsController } from './api/chat-completions.controller.ts';
import { ChatService } from './api/chat-service.ts';
import { ModelsController } from './api/models.controller.ts';
import { SpeechController } from './api/speech.controller.ts';
import { SpeechService } from './api/speech-service.ts';
import { AudioChatController } from './chat/audio-chat.controller.ts';
import { AudioChat } from './chat/audio-chat.ts';
import type { ErrorFilter } from './http/error.filter.ts';
import { HealthController } from './http/health.controller.ts';
import { ServiceHealth } from './http/service-health.ts';
import { TurnsController } from './turns/turns.controller.ts';
import { Turns } from './turns/turns.ts';

export interface AppParts {
  readonly health: ServiceHealth;
  readonly errorFilter: ErrorFilter;
  readonly turns: Turns;
  readonly audioChat: AudioChat;
  readonly requests: ApiRequests;
  readonly speech: SpeechService;
  readonly chat: ChatService;
}

/** Nest's view of the service: its controllers. `llm-tts.ts` builds the parts. */
@Module({})
export class AppModule {
  static with(parts: AppParts): DynamicModule {
    return {
      module: AppModule,
      controllers: [
        HealthController,
        TurnsController,
        AudioChatController,
        SpeechController,
        ChatCompletionsController,
        ModelsController,
      ],
      providers: [
        { provide: AudioChat, useValue: parts.audioChat },
        { provide: ServiceHealth, useValue: parts.health },
        { provide: Turns, useValue: parts.turns },
        { provide: ApiRequests, useValue: parts.requests },
        { provide: SpeechService, useValue: parts.speech },
        { provide: ChatService, useValue: parts.chat },
        { provide: APP_FILTER, useValue: parts.errorFilter },
      ],
    };
  }
}
