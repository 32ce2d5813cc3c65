import { readWav, type WavAudio, WavError } from '@voice-fleet/speech/wav';
import type { FakeExchange, OpenAiFault } from './exchange.ts';
import { type ChatCall, type ChatMessage, FakeChat } from './fake-chat.ts';

/** Chat completions of a model that takes audio, and insists on it. Refuses what vLLM and OpenAI refuse, in OpenAI's form. */
export class FakeAudioChat extends FakeChat {
  /** The audio of each call that was taken, in their order. */
  readonly heard: WavAudio[] = [];

  override async answer(exchange: FakeExchange): Promise<void> {
    const messages = (exchange.body as { messages?: unknown } | undefined)?.messages;
    const audio = readAudio(Array.isArray(messages) ? (messages as ChatMessage[]) : []);
    if ('message' in audio) return exchange.error(400, audio);
    this.heard.push(audio);
    return super.answer(exchange);
  }
}

/** What the prompt beside the audio says. */
export function promptOf(call: ChatCall): string {
  return partsOf(call.messages)
    .map((part) => (typeof part.text === 'string' ? part.text : ''))
    .join('');
}

interface ContentPart {
  readonly type?: unknown;
  readonly text?: unknown;
  readonly input_audio?: unknown;
}

function partsOf(messages: readonly ChatMessage[]): readonly ContentPart[] {
  return messages.flatMap(({ content }) =>
    Array.isArray(content) ? (content as ContentPart[]) : [],
  );
}

function readAudio(messages: readonly ChatMessage[]): WavAudio | OpenAiFault {
  const parts = partsOf(messages).filter((part) => part.type === 'input_audio');
  const [part] = parts;
  if (part === undefined)
    return fault('This model requires that either input content or output modality contain audio.');
  if (parts.length > 1) return fault('At most 1 audio(s) may be provided in one prompt.');
  const { data, format } = (part.input_audio ?? {}) as { data?: unknown; format?: unknown };
  if (format !== 'wav')
    return fault(
      `Invalid value: '${String(format)}'. Supported values are: 'wav'.`,
      'invalid_value',
    );
  if (typeof data !== 'string' || data === '' || !/^[A-Za-z0-9+/]+={0,2}$/.test(data))
    return fault('Invalid value for input_audio.data: it must be base64.', 'invalid_value');
  try {
    const audio = readWav(Buffer.from(data, 'base64'));
    return audio.pcm.length > 0 ? audio : fault('The audio is empty.', 'invalid_value');
  } catch (error) {
    if (error instanceof WavError)
      return fault('The audio data provided could not be decoded.', 'invalid_value');
    throw error;
  }
}

function fault(message: string, code?: string): OpenAiFault {
  return { message, type: 'invalid_request_error', ...(code !== undefined && { code }) };
}
