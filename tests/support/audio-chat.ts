import { LlmTtsEnv } from '@voice-fleet/llm-tts/config';
import { type LlmTts, startLlmTts } from '@voice-fleet/llm-tts/llm-tts';
import { AUDIO_CHAT_PATH, ReplyChunk, STREAM_END } from '@voice-fleet/protocol/chunk';
import { parseEnv } from '@voice-fleet/runtime/env';
import { writeWav } from '@voice-fleet/speech/wav';
import { createLogger } from '@voice-fleet/telemetry/logger';
import { FakeAudioChat } from '@voice-fleet/testkit/fake-openai/fake-audio-chat';
import { FakeOpenAi } from '@voice-fleet/testkit/fake-openai/fake-openai';
import { Fleet, KEY } from './fleet.ts';
import type { Logged } from './worker-engine.ts';

type Env = Readonly<Record<string, string>>;
/** Null leaves a field out. */
export type Form = Readonly<Record<string, string | number | Buffer | null>>;

/** A gateway before an llm-tts before a chat model that takes audio, on real sockets; the model is a FakeOpenAi. */
export class AudioChatRig implements AsyncDisposable {
  readonly fleet: Fleet;
  readonly openai: FakeOpenAi;
  readonly chat: FakeAudioChat;
  readonly service: LlmTts;
  /** What llm-tts logged. */
  readonly logged: Logged[];
  readonly #gateway: number;

  private constructor(
    parts: Pick<AudioChatRig, 'fleet' | 'openai' | 'chat' | 'service' | 'logged'>,
    gateway: number,
  ) {
    this.fleet = parts.fleet;
    this.openai = parts.openai;
    this.chat = parts.chat;
    this.service = parts.service;
    this.logged = parts.logged;
    this.#gateway = gateway;
  }

  static async start(env: Env = {}, options: { apiKey?: string } = {}): Promise<AudioChatRig> {
    const chat = new FakeAudioChat();
    const openai = await FakeOpenAi.start({ chat, ...options });
    const fleet = await Fleet.start([]);
    const logged: Logged[] = [];
    const service = await startLlmTts(
      parseEnv(LlmTtsEnv, {
        LLM_TTS_BIND_HOST: '127.0.0.1',
        LLM_TTS_PORT: '0',
        INTERNAL_BIND_HOST: '127.0.0.1',
        INTERNAL_PORT: '0',
        LLM_TTS_DRAIN_S: '0',
        REDIS_URL: fleet.redis.url,
        VOXTRAL_CHAT_BASE_URL: openai.baseUrl,
        ...(options.apiKey && { VOXTRAL_CHAT_API_KEY: options.apiKey }),
        ...env,
      }),
      createLogger('llm-tts', 'debug', {
        write: (line: string) => void logged.push(JSON.parse(line) as Logged),
      }),
    );
    const gateway = await fleet.addGateway({
      ...env,
      LLM_TTS_URL: `http://127.0.0.1:${service.port}`,
    });
    return new AudioChatRig({ fleet, openai, chat, service, logged }, gateway.port);
  }

  get url(): string {
    return `http://127.0.0.1:${this.#gateway}${AUDIO_CHAT_PATH}`;
  }

  /** Of the service itself, past the gateway. */
  get innerUrl(): string {
    return `http://127.0.0.1:${this.service.port}`;
  }

  post(form: Form = {}, init: RequestInit & { url?: string } = {}): Promise<Response> {
    const body = new FormData();
    for (const [name, value] of Object.entries({ file: SPEECH, ...form })) {
      if (value === null) continue;
      if (Buffer.isBuffer(value)) body.set(name, new Blob([new Uint8Array(value)]), 'a.wav');
      else body.set(name, String(value));
    }
    const { url = this.url, ...rest } = init;
    return fetch(url, { method: 'POST', headers: { 'x-api-key': KEY }, body, ...rest });
  }

  /** The chunks of a stream as they come. Throws when it was refused or does not end as it should. */
  async *stream(form: Form = {}, init: RequestInit = {}): AsyncGenerator<ReplyChunk> {
    yield* chunksOf(await this.post(form, init));
  }

  /** All of them. */
  async chunks(form: Form = {}): Promise<ReplyChunk[]> {
    return take(this.stream(form));
  }

  async metrics(): Promise<string> {
    return (await fetch(`http://127.0.0.1:${this.service.internalPort}/metrics`)).text();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.service.close();
    await this.fleet[Symbol.asyncDispose]();
    await this.openai.stop();
  }
}

export async function* chunksOf(response: Response): AsyncGenerator<ReplyChunk> {
  if (!response.ok || response.body === null)
    throw new Error(`refused: ${response.status} ${await response.text()}`);
  let rest = '';
  let ended = false;
  for await (const text of response.body.pipeThrough(new TextDecoderStream())) {
    const events = (rest + text).split('\n\n');
    rest = events.pop() ?? '';
    for (const event of events) {
      if (event.startsWith(':')) continue;
      if (ended) throw new Error(`something follows the end: ${event}`);
      if (!event.startsWith('data: ')) throw new Error(`no event of ours: ${event}`);
      ended = event === `data: ${STREAM_END}`;
      if (!ended) yield ReplyChunk.parse(JSON.parse(event.slice('data: '.length)));
    }
  }
  if (!ended) throw new Error('the stream was cut off');
}

/** All that comes. */
export async function take(stream: AsyncIterable<ReplyChunk>): Promise<ReplyChunk[]> {
  const chunks: ReplyChunk[] = [];
  for await (const chunk of stream) chunks.push(chunk);
  return chunks;
}

/** A second of a loud tone. */
export const SPEECH = tone(16_000);

export function tone(samples: number, amplitude = 9_000): Buffer {
  const pcm = Buffer.alloc(2 * samples);
  for (let at = 0; at < samples; at += 1)
    pcm.writeInt16LE(Math.round(amplitude * Math.sin(at / 9)), 2 * at);
  return writeWav(pcm, 16_000);
}
