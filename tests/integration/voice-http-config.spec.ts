import { afterEach, describe, expect, it } from '@jest/globals';
import { Fleet } from '../support/fleet.ts';
import { ServiceProcess } from '../support/service-process.ts';

/** The least and the most that each may be, and a step outside. */
const BOUNDS = {
  STREAM_PARTIAL_INTERVAL_MS: [250, 3000],
  STREAM_VAD_SILENCE_MS: [300, 2000],
  STREAM_MAX_UTTERANCE_MS: [1000, 120_000],
  STREAM_PCM_CHUNK_SIZE: [160, 32_768],
  STREAM_BACKPRESSURE_THRESHOLD: [2, 1000],
  STREAM_BACKPRESSURE_SKIP_FRAMES: [1, 100],
  STREAM_ASR_TIMEOUT_S: [1, 30],
  STREAM_LLM_TIMEOUT_S: [5, 600],
  STREAM_TTS_TIMEOUT_S: [1, 120],
  STREAM_MAX_PENDING_PHRASES: [1, 1000],
} as const;

const envAt = (value: (bounds: readonly [number, number]) => number): Record<string, string> =>
  Object.fromEntries(Object.entries(BOUNDS).map(([name, bounds]) => [name, String(value(bounds))]));

describe('GET /api/stream_config', () => {
  let fleet: Fleet;
  afterEach(() => fleet[Symbol.asyncDispose]());

  it('is flat, needs no key, and has the defaults (P39)', async () => {
    fleet = await Fleet.start([]);
    expect(await fleet.get('/api/stream_config')).toEqual({
      status: 200,
      body: {
        model_whisper: 'small-int8',
        vad_silence_ms: 700,
        partial_interval_ms: 1000,
        max_utterance_ms: 30_000,
        max_pending_phrases: 5,
        log_latency: true,
        llm_timeout_s: 30,
        tts_timeout_s: 10,
        enabled: true,
        pcm_chunk_size: 5120,
        sample_rate: 16_000,
      },
    });
  });

  it('follows the environment, each value its own variable (P39)', async () => {
    fleet = await Fleet.start([], {
      STREAM_MODEL_WHISPER: 'tiny-int8',
      STREAM_VAD_SILENCE_MS: '801',
      STREAM_PARTIAL_INTERVAL_MS: '502',
      STREAM_MAX_UTTERANCE_MS: '20003',
      STREAM_MAX_PENDING_PHRASES: '4',
      STREAM_LOG_LATENCY: '0',
      STREAM_LLM_TIMEOUT_S: '5.5',
      STREAM_TTS_TIMEOUT_S: '6',
      STREAMING_ENABLED: '0',
      STREAM_PCM_CHUNK_SIZE: '1280',
    });
    expect((await fleet.get('/api/stream_config')).body).toEqual({
      model_whisper: 'tiny-int8',
      vad_silence_ms: 801,
      partial_interval_ms: 502,
      max_utterance_ms: 20_003,
      max_pending_phrases: 4,
      log_latency: false,
      llm_timeout_s: 5.5,
      tts_timeout_s: 6,
      enabled: false,
      pcm_chunk_size: 1280,
      sample_rate: 16_000,
    });
  });

  it.each(['POST', 'PUT', 'PATCH', 'DELETE'])('takes no %s (P39)', async (method) => {
    fleet = await Fleet.start([]);
    const url = `http://127.0.0.1:${fleet.gateways[0]?.port}/api/stream_config`;
    const response = await fetch(url, { method });
    expect([response.status, response.headers.get('allow')]).toEqual([405, 'GET, HEAD']);
    expect(await response.json()).toEqual({
      error: {
        code: 'method_not_allowed',
        message: `/api/stream_config does not take ${method}.`,
        details: {},
      },
    });
  });
});

describe('a gateway process with STREAM_* settings', () => {
  it.each([
    ['one below the least', envAt(([least]) => least - 1)],
    ['one above the most', envAt(([, most]) => most + 1)],
  ])('%s: exits with 1 and one JSON error line for each (P40)', async (_, env) => {
    await using process = new ServiceProcess('gateway', env);
    expect(await process.exited).toBe(1);
    expect(process.lines.map((line) => line['variable']).sort()).toEqual(Object.keys(env).sort());
    for (const line of process.lines) {
      expect(line).toMatchObject({ level: 'error', event: 'config_invalid' });
      const [least, most] = BOUNDS[line['variable'] as keyof typeof BOUNDS];
      expect(line['message']).toMatch(new RegExp(`number from ${least} to ${most}, not `));
    }
  });

  it.each([
    ['the least', envAt(([least]) => least)],
    ['the most', envAt(([, most]) => most)],
  ])('%s of each: starts (P40)', async (_, env) => {
    await using process = new ServiceProcess('gateway', env);
    const { port } = await process.logged('listening');
    const response = await fetch(`http://127.0.0.1:${port}/api/stream_config`);
    expect(await response.json()).toMatchObject({
      vad_silence_ms: Number(env['STREAM_VAD_SILENCE_MS']),
      llm_timeout_s: Number(env['STREAM_LLM_TIMEOUT_S']),
    });
  });
});
