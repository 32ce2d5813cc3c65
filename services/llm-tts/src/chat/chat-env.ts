import { audioChatEnv } from '@voice-fleet/runtime/audio-chat-env';
import { integerVar, numberVar, textVar } from '@voice-fleet/runtime/env';
import type { z } from 'zod';

const SECONDS = 1000;

/** Variables of replies made straight from audio. */
export const chatEnv = {
  VOXTRAL_CHAT_BASE_URL: textVar({
    default: '',
    pattern: /^https?:\/\//,
    doc: 'OpenAI-compatible API of a chat model that takes audio. Empty: OPENAI_BASE_URL; if that is empty too, `/v1/audio/chat` answers 503.',
  }),
  VOXTRAL_CHAT_API_KEY: textVar({
    default: '',
    secret: true,
    doc: 'Its key. Empty: OPENAI_API_KEY.',
  }),
  VOXTRAL_CHAT_MODEL: textVar({
    default: 'mistralai/Voxtral-Mini-3B-2507',
    doc: 'Name of the model there.',
  }),
  VOXTRAL_CHAT_TIMEOUT_S: numberVar({
    default: 60,
    min: 0.05,
    max: 600,
    doc: 'A reply that is not whole within this time ends in the fallback text.',
  }),
  VOXTRAL_CHAT_CHUNK_TIMEOUT_MS: integerVar({
    default: 200,
    min: 10,
    max: 60_000,
    doc: 'Words that wait for their chunk to be full go out when no token came for this time.',
  }),
  VOXTRAL_CHAT_SILENCE_RMS: numberVar({
    default: 0.005,
    min: 0,
    max: 1,
    doc: 'Audio whose level (RMS, of full scale) is below this is answered with "No speech detected".',
  }),
  VOXTRAL_CHAT_MAX_AUDIO_S: numberVar({
    default: 300,
    min: 1,
    max: 3600,
    doc: 'Longer audio is refused with 413.',
  }),
  VOXTRAL_CHAT_MAX_STREAMS: integerVar({
    default: 32,
    min: 1,
    max: 10_000,
    doc: 'Replies from audio at once; more are refused with 503.',
  }),
  ...audioChatEnv,
};

type ChatEnv = { readonly [Name in keyof typeof chatEnv]: z.infer<(typeof chatEnv)[Name]> };

/** Where the chat model is. */
export interface ChatUpstream {
  readonly baseUrl: string;
  /** Empty: the server asks for none. */
  readonly apiKey: string;
  readonly model: string;
}

export interface ChatSettings {
  /** Undefined: no chat model is configured. */
  readonly upstream: ChatUpstream | undefined;
  readonly timeoutMs: number;
  readonly chunkTimeoutMs: number;
  /** Of full scale, which is 1. */
  readonly silenceRms: number;
  readonly maxAudioMs: number;
  readonly maxFileBytes: number;
  readonly maxStreams: number;
}

export function chatSettings(
  env: ChatEnv & { readonly OPENAI_BASE_URL: string; readonly OPENAI_API_KEY: string },
): ChatSettings {
  const own = env.VOXTRAL_CHAT_BASE_URL !== '';
  const baseUrl = own ? env.VOXTRAL_CHAT_BASE_URL : env.OPENAI_BASE_URL;
  const apiKey = env.VOXTRAL_CHAT_API_KEY === '' ? env.OPENAI_API_KEY : env.VOXTRAL_CHAT_API_KEY;
  return {
    upstream: baseUrl === '' ? undefined : { baseUrl, apiKey, model: env.VOXTRAL_CHAT_MODEL },
    timeoutMs: env.VOXTRAL_CHAT_TIMEOUT_S * SECONDS,
    chunkTimeoutMs: env.VOXTRAL_CHAT_CHUNK_TIMEOUT_MS,
    silenceRms: env.VOXTRAL_CHAT_SILENCE_RMS,
    maxAudioMs: env.VOXTRAL_CHAT_MAX_AUDIO_S * SECONDS,
    maxFileBytes: env.VOXTRAL_CHAT_MAX_BYTES,
    maxStreams: env.VOXTRAL_CHAT_MAX_STREAMS,
  };
}
