import { ConfigError, enumVar, integerVar, textVar } from '@voice-fleet/runtime/env';
import type { turnEnv } from '@voice-fleet/runtime/turn-env';
import type { z } from 'zod';

const SECONDS = 1000;
const FLITE_VOICES = ['slt', 'rms', 'awb', 'kal16', 'kal'] as const;

/** Voices of flite; the first is the default. `kal` speaks at 8 kHz, the others at 16 kHz. */
export type FliteVoice = (typeof FLITE_VOICES)[number];

export function isFliteVoice(name: string | undefined): name is FliteVoice {
  return FLITE_VOICES.some((voice) => voice === name);
}

/** Variables of who speaks replies, and how. */
export const ttsEnv = {
  STREAM_TTS_ENGINE: enumVar(['auto', 'flite', 'espeak-ng', 'openai', 'none', 'pyttsx3'], {
    default: 'auto',
    doc: 'What speaks replies. `auto` is the server at TTS_BASE_URL, or flite without one; `pyttsx3` of old deployments is `auto`.',
  }),
  STREAM_TTS_MAX_PHRASE_LENGTH: integerVar({
    default: 60,
    min: 20,
    max: 300,
    doc: 'Characters of a phrase, at the most.',
  }),
  STREAM_TTS_THREAD_WORKERS: integerVar({
    default: 2,
    min: 1,
    max: 16,
    doc: 'Phrases of a turn that are spoken at a time; also the threads of flite, and the processes of espeak-ng, for all turns.',
  }),
  TTS_FLITE_VOICE: enumVar(FLITE_VOICES, { default: 'slt', doc: 'Voice of flite.' }),
  TTS_BASE_URL: textVar({
    default: '',
    pattern: /^https?:\/\//,
    doc: 'OpenAI-compatible server that speaks, with its `/v1`: `/audio/speech` is added. Unset, none is asked.',
  }),
  TTS_API_KEY: textVar({ default: '', secret: true, doc: 'Key of the server at TTS_BASE_URL.' }),
  TTS_MODEL: textVar({ default: 'tts-1', doc: 'Model the server at TTS_BASE_URL is asked for.' }),
  TTS_VOICE: textVar({ default: 'alloy', doc: 'Voice the server at TTS_BASE_URL is asked for.' }),
  TTS_SAMPLE_RATE: integerVar({
    default: 24_000,
    min: 8_000,
    max: 96_000,
    doc: 'Hz of a server that answers with bare PCM and does not say its rate.',
  }),
};

type Parsed<T> = { readonly [Key in keyof T]: z.infer<T[Key]> };

/** What the variables come to. Throws ConfigError where they do not fit together. */
export function ttsSettings(env: Parsed<typeof ttsEnv> & Parsed<typeof turnEnv>) {
  const named = env.STREAM_TTS_ENGINE === 'pyttsx3' ? 'auto' : env.STREAM_TTS_ENGINE;
  const hasServer = env.TTS_BASE_URL !== '';
  if (named === 'openai' && !hasServer) {
    const message = 'must be set when STREAM_TTS_ENGINE is openai';
    throw new ConfigError([{ variable: 'TTS_BASE_URL', message }]);
  }
  return {
    engine: named === 'auto' ? (hasServer ? 'openai' : 'flite') : named,
    fliteVoice: env.TTS_FLITE_VOICE,
    server: {
      baseUrl: env.TTS_BASE_URL.replace(/\/+$/, ''),
      apiKey: env.TTS_API_KEY,
      model: env.TTS_MODEL,
      voice: env.TTS_VOICE,
      sampleRate: env.TTS_SAMPLE_RATE,
    },
    speaker: {
      maxPhraseLength: env.STREAM_TTS_MAX_PHRASE_LENGTH,
      workers: env.STREAM_TTS_THREAD_WORKERS,
      timeoutMs: env.STREAM_TTS_TIMEOUT_S * SECONDS,
      maxPending: env.STREAM_MAX_PENDING_PHRASES,
    },
  } as const;
}

export type TtsSettings = ReturnType<typeof ttsSettings>;
export type SpeakerSettings = TtsSettings['speaker'];
export type SpeechServer = TtsSettings['server'];
