import { describe, expect, it } from '@jest/globals';
import { systemClock as clock } from '@voice-fleet/runtime/clock';
import { ConfigError, parseEnv } from '@voice-fleet/runtime/env';
import { LlmTtsEnv } from '../config.ts';
import { startTtsEngine } from './engines.ts';

const settings = (env: NodeJS.ProcessEnv) => parseEnv(LlmTtsEnv, env).tts;

describe('startTtsEngine', () => {
  it.each([
    [{}, 'flite'],
    [{ STREAM_TTS_ENGINE: 'pyttsx3' }, 'flite'],
    [{ TTS_BASE_URL: 'http://127.0.0.1:1/v1' }, 'openai'],
    [{ TTS_BASE_URL: 'http://127.0.0.1:1/v1', STREAM_TTS_ENGINE: 'flite' }, 'flite'],
    [{ TTS_BASE_URL: 'http://127.0.0.1:1/v1', STREAM_TTS_ENGINE: 'openai' }, 'openai'],
    [{ STREAM_TTS_ENGINE: 'none' }, undefined],
  ])('with %j starts %s', async (env, name) => {
    const engine = await startTtsEngine(settings(env), { clock });
    expect(engine?.name).toBe(name);
    await engine?.stop();
  });

  it('names the address that is missing', () => {
    expect(() => settings({ STREAM_TTS_ENGINE: 'openai' })).toThrow(ConfigError);
    expect(() => settings({ STREAM_TTS_ENGINE: 'openai' })).toThrow('TTS_BASE_URL must be set');
  });

  it('keeps the bounds of seconds and phrases', () => {
    const { speaker } = settings({ STREAM_TTS_TIMEOUT_S: '3', STREAM_MAX_PENDING_PHRASES: '7' });
    expect(speaker).toEqual({ maxPhraseLength: 60, workers: 2, timeoutMs: 3000, maxPending: 7 });
  });
});
