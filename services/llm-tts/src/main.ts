import { parseEnv } from '@voice-fleet/runtime/env';
import { runService } from '@voice-fleet/runtime/lifecycle';
import { createLogger } from '@voice-fleet/telemetry/logger';
import { LlmTtsEnv } from './config.ts';
import { startLlmTts } from './llm-tts.ts';

const CLOSE_MARGIN_MS = 5_000;

await runService({ name: 'llm-tts', env: process.env }, async () => {
  const config = parseEnv(LlmTtsEnv, process.env);
  const service = await startLlmTts(config, createLogger('llm-tts', config.logLevel));
  return { close: () => service.close(), closeTimeoutMs: config.drainMs + CLOSE_MARGIN_MS };
});
