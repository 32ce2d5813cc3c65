import { booleanVar, integerVar, numberVar, textVar } from '@voice-fleet/runtime/env';
import { turnEnv } from '@voice-fleet/runtime/turn-env';
import type { z } from 'zod';

const SECONDS = 1000;

/** Variables of the voice pipeline. Names, defaults and bounds are those its clients and operators know. */
export const voiceEnv = {
  STREAMING_ENABLED: booleanVar({
    default: true,
    doc: 'Whether `/ws` takes sessions. `/api/voice` works without.',
  }),
  STREAM_VAD_SILENCE_MS: integerVar({
    default: 700,
    min: 300,
    max: 2000,
    doc: 'Silence after speech that ends an utterance.',
  }),
  STREAM_PARTIAL_INTERVAL_MS: integerVar({
    default: 1000,
    min: 250,
    max: 3000,
    doc: 'The least time between two partial transcripts.',
  }),
  STREAM_PCM_CHUNK_SIZE: integerVar({
    default: 5120,
    min: 160,
    max: 32_768,
    doc: 'Samples in a frame that clients are advised to send.',
  }),
  STREAM_MAX_UTTERANCE_MS: integerVar({
    default: 30_000,
    min: 1000,
    max: 120_000,
    doc: 'An utterance that is this long is ended.',
  }),
  STREAM_BACKPRESSURE_THRESHOLD: integerVar({
    default: 50,
    min: 2,
    max: 1000,
    doc: 'Events waiting for a client from which on partials become rare; below half of it they are as before.',
  }),
  STREAM_BACKPRESSURE_SKIP_FRAMES: integerVar({
    default: 3,
    min: 1,
    max: 100,
    doc: 'Meanwhile a partial comes once in so many intervals.',
  }),
  STREAM_ASR_TIMEOUT_S: numberVar({
    default: 10,
    min: 1,
    max: 30,
    doc: 'The last words of an utterance must come so soon after its end, else ASR_TIMEOUT.',
  }),
  STREAM_LOG_LATENCY: booleanVar({
    default: true,
    doc: 'Whether a line is logged with the latency marks of each utterance.',
  }),
  STREAM_MODEL_WHISPER: textVar({
    default: 'small-int8',
    doc: 'Told as `model_whisper` in `/api/stream_config`, for clients that show it. The model is chosen by the workers.',
  }),
  LLM_TTS_URL: textVar({
    default: 'http://127.0.0.1:8400',
    pattern: /^https?:\/\//,
    doc: 'The llm-tts service.',
  }),
  ...turnEnv,
};

type VoiceEnv = { readonly [Name in keyof typeof voiceEnv]: z.infer<(typeof voiceEnv)[Name]> };

/** The voice pipeline's settings, in milliseconds. */
export interface VoiceSettings {
  readonly enabled: boolean;
  readonly silenceMs: number;
  readonly partialIntervalMs: number;
  readonly pcmChunkSamples: number;
  readonly maxUtteranceMs: number;
  readonly backpressureThreshold: number;
  readonly backpressureSkip: number;
  readonly asrTimeoutMs: number;
  readonly logLatency: boolean;
  readonly modelLabel: string;
  readonly llmTtsUrl: string;
  readonly llmTimeoutMs: number;
  readonly ttsTimeoutMs: number;
  readonly maxPendingPhrases: number;
}

export function voiceSettings(env: VoiceEnv): VoiceSettings {
  return {
    enabled: env.STREAMING_ENABLED,
    silenceMs: env.STREAM_VAD_SILENCE_MS,
    partialIntervalMs: env.STREAM_PARTIAL_INTERVAL_MS,
    pcmChunkSamples: env.STREAM_PCM_CHUNK_SIZE,
    maxUtteranceMs: env.STREAM_MAX_UTTERANCE_MS,
    backpressureThreshold: env.STREAM_BACKPRESSURE_THRESHOLD,
    backpressureSkip: env.STREAM_BACKPRESSURE_SKIP_FRAMES,
    asrTimeoutMs: env.STREAM_ASR_TIMEOUT_S * SECONDS,
    logLatency: env.STREAM_LOG_LATENCY,
    modelLabel: env.STREAM_MODEL_WHISPER,
    llmTtsUrl: env.LLM_TTS_URL,
    llmTimeoutMs: env.STREAM_LLM_TIMEOUT_S * SECONDS,
    ttsTimeoutMs: env.STREAM_TTS_TIMEOUT_S * SECONDS,
    maxPendingPhrases: env.STREAM_MAX_PENDING_PHRASES,
  };
}
