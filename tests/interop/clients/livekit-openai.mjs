// @livekit/agents with its plugin for OpenAI: what a voice agent hears.
import { initializeLogger, stt } from '@livekit/agents';
import { STT } from '@livekit/agents-plugin-openai';
import { options } from './lib.mjs';
import { hear } from './livekit.mjs';

initializeLogger({ pretty: false, level: 'error' });
await hear(
  new STT({
    apiKey: options.key,
    baseURL: `${options.url}/v1`,
    model: 'gpt-4o-transcribe',
    language: 'en',
    useRealtime: true,
    turnDetection: {
      type: 'server_vad',
      threshold: 0.5,
      silence_duration_ms: 500,
      prefix_padding_ms: 300,
    },
  }),
  24_000,
  stt.SpeechEventType,
);
