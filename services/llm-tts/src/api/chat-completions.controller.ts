import type { ServerResponse } from 'node:http';
import { Body, Controller, Inject, Post, Res } from '@nestjs/common';
import { CHAT_COMPLETIONS_PATH, ChatRequest } from '@voice-fleet/protocol/openai-rest';
import { systemClock } from '@voice-fleet/runtime/clock';
import { ResponseStream } from '../http/response-stream.ts';
import { ApiRequests } from './api-requests.ts';
import { ChatService } from './chat-service.ts';
import { parseRequest } from './parse-request.ts';

/** A client that takes nothing for so long is let go. */
const STALL_MS = 60_000;

/** The language model as OpenAI's clients expect it. */
@Controller()
export class ChatCompletionsController {
  readonly #requests: ApiRequests;
  readonly #chat: ChatService;

  constructor(@Inject(ApiRequests) requests: ApiRequests, @Inject(ChatService) chat: ChatService) {
    this.#requests = requests;
    this.#chat = chat;
  }

  @Post(CHAT_COMPLETIONS_PATH)
  async complete(@Body() body: unknown, @Res() response: ServerResponse): Promise<void> {
    const request = parseRequest(ChatRequest, body);
    const stream = new ResponseStream(response, { clock: systemClock, stallMs: STALL_MS });
    try {
      await this.#requests.run('chat', stream.signal, async (signal) => {
        const { contentType, parts } = await this.#chat.complete(request, signal);
        stream.begin(contentType);
        for await (const part of parts) await stream.write(part);
        stream.end();
      });
    } catch (error) {
      if (stream.signal.aborted) return;
      throw error;
    }
  }
}
