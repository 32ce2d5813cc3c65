import {
  AUDIO_CHAT_PATH,
  ReplyChunk,
  type ReplyOptions,
  STREAM_END,
} from '@voice-fleet/protocol/chunk';
import { ERRORS, type ErrorCode, VoiceError } from '@voice-fleet/protocol/errors';
import { z } from 'zod';
import { parseLine } from './ndjson.ts';

/** Makes replies straight from audio, one at a time or many. */
export interface AudioChat {
  /**
   * The chunks of a reply to a WAV file, the last of them final. What goes wrong with the reply is told in that last chunk. Throws
   * VoiceError when there is no reply at all (model_load_failed, at_capacity, message_too_large, worker_unavailable) or it was cut off
   * (llm_failed), and the signal's reason.
   */
  chatReply(wav: Buffer, options: ReplyOptions, signal: AbortSignal): AsyncIterable<ReplyChunk>;
}

/** A longer line is no chunk. */
const LINE_CHARS_MAX = 1_048_576;

/** Asks the llm-tts at this address. */
export function audioChatAt(llmTtsUrl: string): AudioChat {
  const url = new URL(AUDIO_CHAT_PATH, llmTtsUrl);
  return { chatReply: (wav, options, signal) => chatReply(url, wav, options, signal) };
}

async function* chatReply(
  url: URL,
  wav: Buffer,
  options: ReplyOptions,
  signal: AbortSignal,
): AsyncGenerator<ReplyChunk, void, undefined> {
  // Ends the request when whoever reads stops amid the reply.
  const over = new AbortController();
  const either = AbortSignal.any([signal, over.signal]);
  let isWhole = false;
  try {
    const response = await post(url, wav, options, either);
    for await (const data of eventsOf(response)) {
      if (data === STREAM_END) break;
      const chunk = ReplyChunk.parse(parseLine(data));
      // What came before the signal is not read after it.
      signal.throwIfAborted();
      isWhole = chunk.is_final;
      yield chunk;
    }
  } catch (error) {
    signal.throwIfAborted();
    throw error instanceof VoiceError ? error : new VoiceError('llm_failed', { cause: error });
  } finally {
    over.abort(new Error('the reply is over'));
  }
  if (!isWhole) throw new VoiceError('llm_failed');
}

async function post(
  url: URL,
  wav: Buffer,
  options: ReplyOptions,
  signal: AbortSignal,
): Promise<Response> {
  const form = new FormData();
  for (const [name, value] of Object.entries(options)) form.set(name, String(value));
  form.set('file', new Blob([new Uint8Array(wav)], { type: 'audio/wav' }), 'audio.wav');
  let response: Response;
  try {
    response = await fetch(url, {
      method: 'POST',
      // A kept connection may lead to a pod that is told to stop, and takes no more.
      headers: { accept: 'text/event-stream', connection: 'close' },
      body: form,
      signal,
    });
  } catch (cause) {
    throw new VoiceError('worker_unavailable', { cause });
  }
  if (!response.ok) throw await refusal(response);
  return response;
}

const Refusal = z.object({ error: z.object({ code: z.string(), message: z.string() }) });

async function refusal(response: Response): Promise<VoiceError> {
  const body = Refusal.safeParse(await response.json().catch(() => undefined));
  const code = body.data?.error.code ?? '';
  if (!body.success || !Object.hasOwn(ERRORS, code)) return new VoiceError('worker_unavailable');
  return new VoiceError(code as ErrorCode, { message: body.data.error.message });
}

/** The data of server-sent events, each of one line, as llm-tts sends them. */
async function* eventsOf(response: Response): AsyncGenerator<string> {
  if (!response.body) return;
  let rest = '';
  for await (const text of response.body.pipeThrough(new TextDecoderStream())) {
    const lines = (rest + text).split('\n');
    rest = lines.pop() ?? '';
    for (const line of lines) if (line.startsWith('data: ')) yield line.slice('data: '.length);
    if (rest.length > LINE_CHARS_MAX) throw new VoiceError('llm_failed');
  }
}
