import { hostname } from 'node:os';
import { describe, expect, it } from '@jest/globals';
import { type ConfigError, parseEnv } from '@voice-fleet/runtime/env';
import { WorkerEnv } from './config.ts';

const SECOND = 16_000;

describe('the environment of the asr-worker', () => {
  it('may be empty', () => {
    expect(parseEnv(WorkerEnv, {})).toEqual({
      host: '0.0.0.0',
      port: 8200,
      advertiseHost: '127.0.0.1',
      batch: {
        blobs: { kind: 'local', folder: 'jobs' },
        decode: { ffmpeg: 'ffmpeg', maxDurationMs: 7_200_000 },
        lockMs: 10_000,
        maxAttempts: 3,
        maxJobs: 0,
        reserveSlots: 0,
      },
      name: hostname(),
      slots: 0,
      internalHost: '0.0.0.0',
      internalPort: 9200,
      logLevel: 'info',
      redisUrl: 'redis://127.0.0.1:6379',
      fleet: 'default',
      pool: 'default',
      ordinal: 0,
      leaseTtlMs: 10_000,
      engines: ['pocketsphinx'],
      vad: 'auto',
      tickMs: 5_000,
      capacity: {
        floor: 1,
        ceiling: 0,
        start: 0,
        targetFrameLatencyMs: 165,
        memoryUtilization: 0.92,
        maxNumSeqs: 0,
      },
      process: {
        binary: 'voxtral',
        modelDir: 'models/voxtral',
        model: 'mistralai/Voxtral-Mini-4B-Realtime-2602',
        intervalS: 0.5,
        modelDelayMs: 480,
        startTimeoutMs: 120_000,
        stopGraceMs: 5_000,
        slots: 1,
        env: expect.objectContaining({ PATH: expect.any(String) }),
      },
      pocketsphinxRoot: undefined,
      vllm: {
        baseUrl: 'http://127.0.0.1:8300',
        apiKey: undefined,
        model: 'mistralai/Voxtral-Mini-4B-Realtime-2602',
        delayMs: 400,
        spares: 4,
        dialTimeoutMs: 5_000,
        stallMs: 2_000,
        doneMs: 5_000,
        canaryIntervalMs: 30_000,
      },
      heartbeatMs: 5_000,
      catchUpSessions: 0,
      drainMs: 20_000,
      transcription: {
        plan: {
          segmentSamples: 30 * SECOND,
          pauseFromSamples: 15 * SECOND,
          overlapSamples: 0.8 * SECOND,
        },
        maxBacklogSamples: 5 * SECOND,
        finishTimeoutMs: 30_000,
        quietTimeoutMs: 10_000,
        recovery: {
          maxAttempts: 5,
          overlapSamples: 2 * SECOND,
          replaySamples: 30 * SECOND,
        },
      },
    });
  });

  it('sets how utterances are cut and how much may wait', () => {
    const { transcription } = parseEnv(WorkerEnv, {
      STT_SEGMENT_SECONDS: '10',
      STT_SEGMENT_OVERLAP_SECONDS: '0.4',
      STT_MAX_BACKLOG_SECONDS: '2.5',
      STT_FINISH_TIMEOUT_S: '1.5',
    });
    expect(transcription).toMatchObject({
      plan: {
        segmentSamples: 10 * SECOND,
        pauseFromSamples: 15 * SECOND,
        overlapSamples: 0.4 * SECOND,
      },
      maxBacklogSamples: 2.5 * SECOND,
      finishTimeoutMs: 1_500,
    });
  });

  it('switches rolling off', () => {
    const { plan } = parseEnv(WorkerEnv, { STT_INTERNAL_ROLL: '0' }).transcription;
    expect(plan.segmentSamples).toBe(Number.POSITIVE_INFINITY);
  });

  it('takes a folder for pocketsphinx', () => {
    expect(parseEnv(WorkerEnv, { POCKETSPHINX_ROOT: '/opt/root' }).pocketsphinxRoot).toBe(
      '/opt/root',
    );
  });

  it.each([
    ['worker-0.asr.svc.cluster.local', 'worker-0.asr.svc.cluster.local'],
    ['asr_worker', 'asr_worker'],
    ['3c59dc048e88', '3c59dc048e88'],
    ['10.1.2.255', '10.1.2.255'],
    ['::1', '[::1]'],
    ['fd00:10:244::1f', '[fd00:10:244::1f]'],
  ])('has WORKER_HOST %s stand as %s in front of a port', (host, written) => {
    expect(parseEnv(WorkerEnv, { WORKER_HOST: host }).advertiseHost).toBe(written);
    expect(new URL(`ws://${written}:8200/link`).port).toBe('8200');
  });

  it.each([
    ['WORKER_HOST', 'with space'],
    ['WORKER_HOST', 'host:8200'],
    ['WORKER_HOST', 'abc:8200'],
    ['WORKER_HOST', '10.0.0.1:8200'],
    ['WORKER_HOST', '10.0.0.256'],
    ['WORKER_HOST', '10.0.1'],
    ['WORKER_HOST', '[::1]'],
    ['WORKER_HOST', 'fe80::1%eth0'],
    ['WORKER_HOST', 'ws://host'],
    ['WORKER_HOST', 'host/path'],
    ['WORKER_HOST', 'user@host'],
    ['WORKER_HOST', 'a..b'],
    ['WORKER_NAME', 'with space'],
    ['WORKER_PORT', '65536'],
    ['WORKER_SLOTS', '1.5'],
    ['FLEET_NAME', 'a{b}'],
    ['WORKER_POOL', 'L40S'],
    ['WORKER_POOL', 'card.a'],
    ['WORKER_POOL', '-a'],
    ['WORKER_ORDINAL', '-1'],
    ['WORKER_POOL', 'a'.repeat(41)],
    ['REDIS_URL', 'localhost:6379'],
    ['ASR_ENGINE', 'whisper'],
    ['ASR_VAD', 'loud'],
    ['STT_SEGMENT_SECONDS', '0.5'],
    ['STT_MAX_BACKLOG_SECONDS', '-1'],
    ['VLLM_MAX_MODEL_LEN', '128'],
    ['VLLM_BASE_URL', 'vllm:8300'],
    ['VLLM_BASE_URL', 'http://vllm:8300/v1'],
    ['VLLM_BASE_URL', 'http://vllm:65536'],
    ['VLLM_BASE_URL', 'http://a:b:8300'],
    ['VLLM_BASE_URL', 'http://user:secret@vllm:8300'],
    ['VLLM_API_KEY', 'two words'],
    ['VLLM_API_KEY', 'cl\u00e9'],
    ['LEASE_TTL_S', '0'],
    ['LOG_LEVEL', 'loud'],
  ])('refuses %s=%s, naming the variable', (variable, value) => {
    expect.assertions(1);
    try {
      parseEnv(WorkerEnv, { [variable]: value });
    } catch (error) {
      expect((error as ConfigError).faults.map((fault) => fault.variable)).toEqual([variable]);
    }
  });

  it.each(['http://vllm', 'https://vllm.asr.svc.cluster.local:65535', 'http://[::1]:8300'])(
    'takes %s for vLLM',
    (url) => {
      expect(parseEnv(WorkerEnv, { VLLM_BASE_URL: url }).vllm.baseUrl).toBe(url);
      expect(new URL('/health', url).pathname).toBe('/health');
    },
  );

  it('shows no secret that it refuses', () => {
    const env = { VLLM_BASE_URL: 'http://user:s3cret@vllm', VLLM_API_KEY: 's3cret\n' + 's3cret' };
    expect(() => parseEnv(WorkerEnv, env)).toThrow(/^(?!.*s3cret)/);
    expect(() => parseEnv(WorkerEnv, env)).toThrow(/VLLM_BASE_URL .*; VLLM_API_KEY /);
  });

  it('names all faults at once', () => {
    expect(() => parseEnv(WorkerEnv, { WORKER_SLOTS: 'many', LEASE_TTL_S: 'long' })).toThrow(
      /LEASE_TTL_S .*; WORKER_SLOTS /,
    );
  });

  it('takes several engines, in the order of preference', () => {
    const { engines } = parseEnv(WorkerEnv, { ASR_ENGINE: 'vllm, pocketsphinx' });
    expect(engines).toEqual(['vllm', 'pocketsphinx']);
    for (const wrong of ['vllm,whisper', 'vllm,vllm', ','])
      expect(() => parseEnv(WorkerEnv, { ASR_ENGINE: wrong })).toThrow(/must name some of/);
  });
});
