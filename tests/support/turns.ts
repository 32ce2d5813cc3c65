import { LlmTtsEnv } from '@voice-fleet/llm-tts/config';
import { type LlmTts, startLlmTts } from '@voice-fleet/llm-tts/llm-tts';
import { NDJSON, TURNS_PATH, TurnEvent, type TurnRequestInput } from '@voice-fleet/protocol/turn';
import { parseEnv } from '@voice-fleet/runtime/env';
import { createLogger } from '@voice-fleet/telemetry/logger';
import { FakeChat } from '@voice-fleet/testkit/fake-openai/fake-chat';
import { FakeOpenAi, type FakeRoute } from '@voice-fleet/testkit/fake-openai/fake-openai';
import { startRedis, type TestRedis } from '@voice-fleet/testkit/redis';
import type { Logged } from './worker-engine.ts';

export interface TurnsOptions {
  /** Default: a server of its own. */
  readonly redis?: TestRedis;
  /** False: no language model is configured, so the built-in rules answer. */
  readonly llm?: boolean;
  /** What speaks; without it nobody does, unless `env` names an engine. */
  readonly speech?: FakeRoute;
  readonly env?: Readonly<Record<string, string>>;
}

/** llm-tts in this process, on real sockets and a real redis-server; its language model is a FakeOpenAi. */
export class Turns implements AsyncDisposable {
  readonly redis: TestRedis;
  readonly openai: FakeOpenAi;
  readonly chat: FakeChat;
  readonly service: LlmTts;
  /** What the service logged. */
  readonly logged: Logged[];
  readonly #ownsRedis: boolean;
  #stopped: Promise<void> | undefined;

  private constructor(
    parts: Pick<Turns, 'redis' | 'openai' | 'chat' | 'service' | 'logged'> & { ownsRedis: boolean },
  ) {
    this.redis = parts.redis;
    this.openai = parts.openai;
    this.chat = parts.chat;
    this.service = parts.service;
    this.logged = parts.logged;
    this.#ownsRedis = parts.ownsRedis;
  }

  static async start(options: TurnsOptions = {}): Promise<Turns> {
    const redis = options.redis ?? (await startRedis());
    const chat = new FakeChat();
    const openai = await FakeOpenAi.start({
      chat,
      ...(options.speech && { speech: options.speech }),
    });
    const logged: Logged[] = [];
    const log = createLogger('llm-tts', 'debug', {
      write: (line: string) => void logged.push(JSON.parse(line) as Logged),
    });
    const config = parseEnv(LlmTtsEnv, {
      LLM_TTS_BIND_HOST: '127.0.0.1',
      LLM_TTS_PORT: '0',
      INTERNAL_BIND_HOST: '127.0.0.1',
      INTERNAL_PORT: '0',
      LLM_TTS_DRAIN_S: '1',
      REDIS_URL: redis.url,
      ...(options.llm !== false && { OPENAI_BASE_URL: openai.baseUrl }),
      STREAM_TTS_ENGINE: options.speech ? 'openai' : 'none',
      ...(options.speech && { TTS_BASE_URL: openai.baseUrl }),
      ...options.env,
    });
    const service = await startLlmTts(config, log);
    const ownsRedis = options.redis === undefined;
    return new Turns({ redis, openai, chat, service, logged, ownsRedis });
  }

  /** What LLM_TTS_URL of a gateway is set to. */
  get url(): string {
    return `http://127.0.0.1:${this.service.port}`;
  }

  /** Asks for a turn; the answer may be a refusal. */
  post(body: unknown, signal?: AbortSignal): Promise<Response> {
    return fetch(`${this.url}${TURNS_PATH}`, {
      method: 'POST',
      headers: { 'content-type': 'application/json', accept: NDJSON },
      body: JSON.stringify(body),
      ...(signal && { signal }),
    });
  }

  /** The events of a turn as they come; throws when it was refused or the signal aborts. */
  async *events(
    request: Partial<TurnRequestInput>,
    signal?: AbortSignal,
  ): AsyncGenerator<TurnEvent> {
    const response = await this.post(turn(request), signal);
    if (!response.ok || response.body === null)
      throw new Error(`turn refused: ${response.status} ${await response.text()}`);
    let rest = '';
    for await (const text of response.body.pipeThrough(new TextDecoderStream())) {
      const lines = (rest + text).split('\n');
      rest = lines.pop() ?? '';
      for (const line of lines) yield TurnEvent.parse(JSON.parse(line));
    }
    if (rest !== '') throw new Error(`a line without an end: ${rest}`);
  }

  /** All events of a turn. */
  async take(request: Partial<TurnRequestInput>): Promise<TurnEvent[]> {
    const events: TurnEvent[] = [];
    for await (const event of this.events(request)) events.push(event);
    return events;
  }

  /** The metrics page. */
  async metrics(): Promise<string> {
    return (await fetch(`http://127.0.0.1:${this.service.internalPort}/metrics`)).text();
  }

  /** The service goes away, with whatever it was doing. */
  stop(): Promise<void> {
    this.#stopped ??= this.service.close();
    return this.#stopped;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.stop();
    await this.openai.stop();
    if (this.#ownsRedis) await this.redis.stop();
  }
}

/** A request with the usual tenant and conversation, without speech. */
export function turn(request: Partial<TurnRequestInput>): TurnRequestInput {
  return { tenant: 'acme', conversation: 'c1', text: 'Hello there.', speak: false, ...request };
}

/** The reply of a turn. */
export function replyText(events: readonly TurnEvent[]): string {
  return events.map((event) => (event.type === 'token' ? event.text : '')).join('');
}
