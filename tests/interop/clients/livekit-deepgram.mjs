// @livekit/agents with its plugin for Deepgram: what a voice agent hears.
import { initializeLogger, stt } from '@livekit/agents';
import { STT } from '@livekit/agents-plugin-deepgram';
import { options, wsUrl } from './lib.mjs';
import { hear } from './livekit.mjs';

initializeLogger({ pretty: false, level: 'error' });
await hear(
  new STT({ apiKey: options.key, baseUrl: wsUrl, model: 'nova-3', language: 'en' }),
  16_000,
  stt.SpeechEventType,
);
