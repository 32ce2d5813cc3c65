import 'reflect-metadata';
import type { IncomingMessage, Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { NestFactory } from '@nestjs/core';
import type { NestExpressApplication } from '@nestjs/platform-express';
import { connectRedis, untilReady } from '@voice-fleet/fleet/redis';
import { CHAT_COMPLETIONS_PATH } from '@voice-fleet/protocol/openai-rest';
import { systemClock } from '@voice-fleet/runtime/clock';
import type { Running } from '@voice-fleet/runtime/lifecycle';
import { startInternalServer } from '@voice-fleet/telemetry/internal-server';
import type { Logger } from '@voice-fleet/telemetry/logger';
import { NO_TRACER, type Tracer } from '@voice-fleet/telemetry/tracing/tracer';
import { ApiRequests } from './api/api-requests.ts';
import { ChatService } from './api/chat-service.ts';
import { SpeechService } from './api/speech-service.ts';
import { AppModule } from './app.module.ts';
import { audioChatFrom } from './chat/audio-chat.ts';
import type { LlmTtsConfig } from './config.ts';
import { ErrorFilter } from './http/error.filter.ts';
import { ServiceHealth } from './http/service-health.ts';
import { ServiceHttp } from './http/service-http.ts';
import { llmFrom } from './llm/engines.ts';
import { RulesEngine } from './llm/rules/rules.ts';
import { RedisConversation } from './memory/conversation.ts';
import { LlmTtsMetrics } from './metrics.ts';
import { speechModels, startTtsEngine } from './tts/engines.ts';
import type { PhraseOutcome } from './tts/phrase-queue.ts';
import { Speaker, type SpeakerManner } from './tts/speaker.ts';
import { Turns } from './turns/turns.ts';

const BODY_BYTES_MAX = 256 * 1024;
/** Part of the time for a first token, after which the rules stand in: they need what is left. */
const PATIENCE = 0.6;
const GOODBYE_MS = 250;
/** The first turns should find their memory; without Redis they are taken all the same. */
const REDIS_WAIT_MS = 1_000;

export interface LlmTts extends Running {
  readonly port: number;
  readonly internalPort: number;
}

/** Builds the service, starts it, and owns all that it started. */
export async function startLlmTts(
  config: LlmTtsConfig,
  log: Logger,
  tracer: Tracer = NO_TRACER,
): Promise<LlmTts> {
  const clock = systemClock;
  const metrics = new LlmTtsMetrics();
  metrics.spans.watch(tracer);
  const redis = connectRedis(config.redisUrl, {
    onError: (error) => log.error({ event: 'redis_lost', err: error }),
    onRecovered: () => log.info({ event: 'redis_back' }),
  });
  const { limits } = config;
  const tts = await startTtsEngine(config.tts, { clock });
  const onOutcome = (outcome: PhraseOutcome): void => {
    metrics.countPhrase(outcome);
    const { error, engine } = outcome;
    if (error) log.warn({ event: 'phrase_lost', engine, outcome: outcome.outcome, err: error });
  };
  const speaker =
    tts &&
    ((manner: SpeakerManner, signal: AbortSignal) =>
      new Speaker({
        ...manner,
        engine: tts,
        clock,
        settings: config.tts.speaker,
        onOutcome,
        signal,
      }));
  const onFallback = (error: unknown): void => {
    metrics.llmFaults.labels('fallback').inc();
    log.warn({ event: 'llm_fallback', err: error });
  };
  const llm = llmFrom(config.llm, { clock, patienceMs: PATIENCE * limits.firstMs, onFallback });
  const memory = new RedisConversation({
    redis,
    ttlMs: config.conversationTtlMs,
    onFault: (step, error) => {
      metrics.memoryFaults.labels(step).inc();
      log.warn({ event: 'memory_fault', step, err: error });
    },
  });
  const turns = new Turns({
    engines: {
      clock,
      llm,
      memory,
      limits,
      systemPrompt: config.llm.systemPrompt,
      speech: tts && speaker && { name: tts.name, speaker },
    },
    clock,
    metrics,
    log,
    tracer,
    maxActive: config.maxTurns,
  });
  const audioChat = audioChatFrom(config.chat, { clock, stats: metrics.audioChat, log });
  const { api } = config;
  const requests = new ApiRequests({ clock, stats: metrics.api, maxActive: api.maxRequests });
  const { aliases } = config;
  const speech = new SpeechService({
    clock,
    aliases,
    stats: metrics.api,
    ffmpeg: api.ffmpeg,
    speech: tts && speaker && { speaker, models: speechModels(tts.name, config.tts) },
  });
  const chat = new ChatService({
    clock,
    aliases,
    text: config.llm.openai,
    audio: config.chat.upstream,
    rules: new RulesEngine(clock),
    fallback: config.llm.fallback,
    onFallback,
    timeoutMs: api.chatTimeoutMs,
  });
  const health = new ServiceHealth(() => ({
    model: llm.model,
    ...(tts && { tts: tts.name }),
    turns: turns.active,
  }));
  const app = await NestFactory.create<NestExpressApplication>(
    AppModule.with({
      health,
      turns,
      audioChat,
      requests,
      speech,
      chat,
      errorFilter: new ErrorFilter(log),
    }),
    new ServiceHttp(),
    { logger: false, abortOnError: false, bodyParser: false },
  );
  const isChat = ({ url = '' }: IncomingMessage): boolean => url.startsWith(CHAT_COMPLETIONS_PATH);
  app.useBodyParser('json', { limit: api.chatMaxBytes, type: isChat });
  app.useBodyParser('json', { limit: BODY_BYTES_MAX });
  const http = app.getHttpServer() as Server;
  await untilReady(redis, AbortSignal.timeout(REDIS_WAIT_MS)).catch(() => undefined);
  await app.listen(config.port, config.host);
  const internal = await startInternalServer({
    port: config.internalPort,
    host: config.internalHost,
    registry: metrics.registry,
    readiness: () => health.readiness(),
  });
  const { port } = http.address() as AddressInfo;
  log.info({
    event: 'listening',
    port,
    internalPort: internal.port,
    model: llm.model,
    tts: tts?.name,
  });

  return {
    port,
    internalPort: internal.port,
    close: async () => {
      health.drain();
      await Promise.all([
        turns.drain(config.drainMs),
        audioChat.drain(config.drainMs),
        requests.drain(config.drainMs),
      ]);
      const closed = new Promise((resolve) => http.close(resolve));
      // Idle ones are closed by now; the last words of the others are on their way.
      const cutOff = clock.after(GOODBYE_MS, () => http.closeAllConnections());
      await closed;
      cutOff.cancel();
      await app.close();
      await tts?.stop();
      await internal.close();
      redis.disconnect();
      log.info({ event: 'stopped' });
    },
  };
}
