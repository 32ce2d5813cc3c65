import { SAMPLE_RATE } from '@voice-fleet/speech/pcm';
import type { VoiceSettings } from './voice-env.ts';

/** What `GET /api/stream_config` answers: flat. A type, not an interface, so that it can be answered as plain JSON. */
export type StreamConfig = {
  readonly model_whisper: string;
  readonly vad_silence_ms: number;
  readonly partial_interval_ms: number;
  readonly max_utterance_ms: number;
  readonly max_pending_phrases: number;
  readonly log_latency: boolean;
  readonly llm_timeout_s: number;
  readonly tts_timeout_s: number;
  readonly enabled: boolean;
  readonly pcm_chunk_size: number;
  readonly sample_rate: number;
};

/** The settings that clients of the voice pipeline may know. */
export function streamConfig(voice: VoiceSettings): StreamConfig {
  return {
    model_whisper: voice.modelLabel,
    vad_silence_ms: voice.silenceMs,
    partial_interval_ms: voice.partialIntervalMs,
    max_utterance_ms: voice.maxUtteranceMs,
    max_pending_phrases: voice.maxPendingPhrases,
    log_latency: voice.logLatency,
    llm_timeout_s: voice.llmTimeoutMs / 1000,
    tts_timeout_s: voice.ttsTimeoutMs / 1000,
    enabled: voice.enabled,
    pcm_chunk_size: voice.pcmChunkSamples,
    sample_rate: SAMPLE_RATE,
  };
}
