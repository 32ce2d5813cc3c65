import { parseEnv } from '@voice-fleet/runtime/env';
import { runService } from '@voice-fleet/runtime/lifecycle';
import { TraceEnv } from '@voice-fleet/runtime/trace-env';
import { createLogger, redactedLine } from '@voice-fleet/telemetry/logger';
import { openTracer } from '@voice-fleet/telemetry/tracing/open-tracer';
import { LlmTtsEnv } from './config.ts';
import { startLlmTts } from './llm-tts.ts';

const CLOSE_MARGIN_MS = 5_000;

await runService({ name: 'llm-tts', env: process.env, redact: redactedLine }, async () => {
  const config = parseEnv(LlmTtsEnv, process.env);
  const log = createLogger('llm-tts', config.logLevel);
  const settings = parseEnv(TraceEnv, process.env);
  const tracer = await openTracer({ service: 'llm-tts', settings, log });
  const service = await startLlmTts(config, log, tracer);
  const close = (): Promise<void> => service.close().finally(() => tracer.close());
  return { close, closeTimeoutMs: config.drainMs + CLOSE_MARGIN_MS };
});
