import { integerVar, numberVar, textVar } from '@voice-fleet/runtime/env';
import { modelEnv } from '@voice-fleet/runtime/model-env';
import { operatorEnv } from '@voice-fleet/runtime/operator-env';
import { turnEnv } from '@voice-fleet/runtime/turn-env';
import { z } from 'zod';
import { apiEnv, apiSettings } from './api/api-env.ts';
import { chatEnv, chatSettings } from './chat/chat-env.ts';
import { llmEnv, llmSettings } from './llm/llm-env.ts';
import { ttsEnv, ttsSettings } from './tts/tts-env.ts';
import { tokenLimits } from './turns/token-deadlines.ts';

const SECONDS = 1000;

/** Every variable llm-tts reads. `docs/configuration.md` is generated from it. */
export const LlmTtsEnv = z
  .object({
    ...operatorEnv(9102),
    LLM_TTS_BIND_HOST: textVar({ default: '0.0.0.0', doc: 'Address the public port listens on.' }),
    LLM_TTS_PORT: integerVar({
      default: 8400,
      min: 0,
      max: 65_535,
      doc: 'Port that gateways send turns to; 0 takes a free one.',
    }),
    LLM_TTS_DRAIN_S: numberVar({
      default: 10,
      min: 0,
      max: 600,
      doc: 'After SIGTERM turns under way finish within this time; then they are cut off.',
    }),
    REDIS_URL: textVar({
      default: 'redis://127.0.0.1:6379',
      pattern: /^rediss?:\/\//,
      secret: true,
      doc: 'Redis or Valkey that holds the conversations.',
    }),
    CONVERSATION_TTL_S: integerVar({
      default: 1800,
      min: 1,
      max: 86_400 * 30,
      doc: 'A conversation is forgotten so long after its last turn.',
    }),
    LLM_TTS_MAX_TURNS: integerVar({
      default: 64,
      min: 1,
      max: 10_000,
      doc: 'Turns at once; more are refused with 503.',
    }),
    ...llmEnv,
    ...turnEnv,
    ...ttsEnv,
    ...chatEnv,
    ...apiEnv,
    ...modelEnv,
  })
  .transform((env) => ({
    host: env.LLM_TTS_BIND_HOST,
    port: env.LLM_TTS_PORT,
    internalHost: env.INTERNAL_BIND_HOST,
    internalPort: env.INTERNAL_PORT,
    logLevel: env.LOG_LEVEL,
    redisUrl: env.REDIS_URL,
    conversationTtlMs: env.CONVERSATION_TTL_S * SECONDS,
    maxTurns: env.LLM_TTS_MAX_TURNS,
    llm: llmSettings(env),
    limits: tokenLimits(env.STREAM_LLM_TIMEOUT_S * SECONDS),
    drainMs: env.LLM_TTS_DRAIN_S * SECONDS,
    tts: ttsSettings(env),
    chat: chatSettings(env),
    api: apiSettings(env),
    aliases: env.MODEL_ALIASES,
  }));

export type LlmTtsConfig = z.infer<typeof LlmTtsEnv>;
