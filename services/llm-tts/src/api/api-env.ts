import { chatCompletionsEnv } from '@voice-fleet/runtime/chat-completions-env';
import { integerVar, numberVar, textVar } from '@voice-fleet/runtime/env';
import type { z } from 'zod';

const SECONDS = 1000;

/** Variables of the endpoints that speak as OpenAI's do. */
export const apiEnv = {
  LLM_TTS_MAX_REQUESTS: integerVar({
    default: 32,
    min: 1,
    max: 10_000,
    doc: 'Requests for `/v1/audio/speech` and `/v1/chat/completions` at once, together; more are refused with 503.',
  }),
  CHAT_COMPLETIONS_TIMEOUT_S: numberVar({
    default: 120,
    min: 1,
    max: 600,
    doc: 'A chat completion that is not whole within this time is cut off; one that has not begun is answered with 504.',
  }),
  FFMPEG_BIN: textVar({
    default: 'ffmpeg',
    doc: 'Program that makes AAC of speech. Where it is missing, `aac` is answered with 400.',
  }),
  ...chatCompletionsEnv,
};

type ApiEnv = { readonly [Name in keyof typeof apiEnv]: z.infer<(typeof apiEnv)[Name]> };

export interface ApiSettings {
  readonly maxRequests: number;
  readonly chatTimeoutMs: number;
  readonly chatMaxBytes: number;
  readonly ffmpeg: string;
}

export function apiSettings(env: ApiEnv): ApiSettings {
  return {
    maxRequests: env.LLM_TTS_MAX_REQUESTS,
    chatTimeoutMs: env.CHAT_COMPLETIONS_TIMEOUT_S * SECONDS,
    chatMaxBytes: env.CHAT_COMPLETIONS_MAX_BYTES,
    ffmpeg: env.FFMPEG_BIN,
  };
}
