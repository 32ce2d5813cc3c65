import { once } from 'node:events';
import type { IncomingMessage, ServerResponse } from 'node:http';
import { Controller, Inject, Post, Req, Res } from '@nestjs/common';
import {
  AUDIO_CHAT_PATH,
  type ReplyChunk,
  STREAM_END,
  type WholeReply,
} from '@voice-fleet/protocol/chunk';
import type { Clock } from '@voice-fleet/runtime/clock';
import { AudioChat } from './audio-chat.ts';
import { readChatForm } from './chat-form.ts';

/** A comment so often keeps a stream from looking dead while its model thinks. */
const COMMENT_MS = 10_000;
/** A client that takes nothing for so long is let go. */
const STALLED_MS = 60_000;

@Controller(AUDIO_CHAT_PATH)
export class AudioChatController {
  readonly #chat: AudioChat;

  constructor(@Inject(AudioChat) chat: AudioChat) {
    this.#chat = chat;
  }

  @Post()
  async post(@Req() request: IncomingMessage, @Res() response: ServerResponse): Promise<void> {
    const over = new AbortController();
    response.once('close', () => over.abort(new Error('the client has gone')));
    // Writing to one that has gone is nothing that anybody must hear of.
    response.on('error', () => undefined);
    response.setTimeout(STALLED_MS, () => response.destroy());
    try {
      await this.#answer(request, response, over.signal);
    } catch (error) {
      if (!over.signal.aborted) throw error;
    }
  }

  async #answer(
    request: IncomingMessage,
    response: ServerResponse,
    signal: AbortSignal,
  ): Promise<void> {
    const admitted = this.#chat.admit(signal);
    const form = await readChatForm(request, this.#chat.settings.maxFileBytes);
    const chunks = await admitted.reply(form);
    response.setHeader('Cache-Control', 'no-store');
    const stream = form.stream ?? !wantsJson(request.headers.accept);
    if (stream) return sendStream(response, chunks, this.#chat.clock, signal);
    // Nothing can be written meanwhile, and the reply has a time limit of its own.
    response.setTimeout(0);
    await sendWhole(response, chunks);
  }
}

/** JSON is named, and the stream is not. */
function wantsJson(accept = ''): boolean {
  return /\bapplication\/json\b/i.test(accept) && !/\btext\/event-stream\b/i.test(accept);
}

async function sendStream(
  response: ServerResponse,
  chunks: AsyncIterable<ReplyChunk>,
  clock: Clock,
  signal: AbortSignal,
): Promise<void> {
  response.writeHead(200, {
    'Content-Type': 'text/event-stream; charset=utf-8',
    // A proxy that collected the chunks would undo them.
    'X-Accel-Buffering': 'no',
  });
  response.flushHeaders();
  const comments = clock.every(COMMENT_MS, () => response.write(': the reply is being made\n\n'));
  try {
    for await (const chunk of chunks) {
      if (!response.write(`data: ${JSON.stringify(chunk)}\n\n`))
        await once(response, 'drain', { signal });
    }
    response.end(`data: ${STREAM_END}\n\n`);
  } finally {
    comments.cancel();
  }
}

async function sendWhole(
  response: ServerResponse,
  replyChunks: AsyncIterable<ReplyChunk>,
): Promise<void> {
  const chunks: ReplyChunk[] = [];
  for await (const chunk of replyChunks) chunks.push(chunk);
  const last = chunks.at(-1);
  // Without a chunk the client has gone.
  if (!last) return;
  const said = chunks.filter(({ success }) => success).map(({ text }) => text);
  const whole: WholeReply = {
    success: last.success,
    text: said.length > 0 ? said.join('') : last.text,
    processing_time_ms: last.processing_time_ms,
    ...(last.error !== undefined && { error: last.error }),
    chunks,
  };
  response.writeHead(200, { 'Content-Type': 'application/json' }).end(JSON.stringify(whole));
}
