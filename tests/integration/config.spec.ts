import { describe, expect, it } from '@jest/globals';
import { startRedis } from '@voice-fleet/testkit/redis';
import { ServiceProcess } from '../support/service-process.ts';
import { until } from '../support/until.ts';

describe('a service started with a faulty environment', () => {
  const CASES = [
    [
      'gateway',
      {
        SERVER_PORT: '70000',
        WS_IDLE_TIMEOUT_S: 'soon',
        FLEET_PLACEMENT: 'random',
        REDIS_URL: 'http://somewhere:secret@host',
      },
    ],
    [
      'asr-worker',
      {
        WORKER_SLOTS: '-1',
        STT_INTERNAL_ROLL: 'perhaps',
        ASR_ENGINE: 'oracle',
        VLLM_MAX_MODEL_LEN: '12.5',
      },
    ],
  ] as const;

  it.each(CASES)(
    '%s prints every fault as one JSON line of its own and exits with 1',
    async (service, env) => {
      await using process = new ServiceProcess(service, env);
      expect(await process.exited).toBe(1);
      expect(process.lines.map((line) => line['variable']).sort()).toEqual(Object.keys(env).sort());
      for (const line of process.lines) {
        expect(line).toEqual({
          ts: expect.stringMatching(/^\d{4}-\d\d-\d\dT/),
          level: 'error',
          service,
          sid: null,
          event: 'config_invalid',
          variable: expect.any(String),
          message: expect.stringMatching(/^must /),
        });
      }
      expect(JSON.stringify(process.lines)).not.toContain('secret');
    },
  );

  it('names the port that is taken, in one line, and exits with 1', async () => {
    const redis = await startRedis();
    try {
      await using process = new ServiceProcess('gateway', { SERVER_PORT: String(redis.port) });
      expect(await process.exited).toBe(1);
      const faults = process.lines.filter((line) => line['event'] === 'start_failed');
      expect(faults).toHaveLength(1);
      expect(faults[0]?.['message']).toContain(`${redis.port}`);
    } finally {
      await redis.stop();
    }
  });
});

describe('a gateway process', () => {
  it('warns when it has no key, as only stored ones are accepted (Y5)', async () => {
    const redis = await startRedis();
    try {
      await using process = new ServiceProcess('gateway', { REDIS_URL: redis.url });
      await process.logged('listening');
      expect(await process.logged('stored_keys_only')).toMatchObject({ level: 'warn' });
    } finally {
      await redis.stop();
    }
  });

  it('starts while Redis is away, says so once, and becomes ready to ask it when it comes', async () => {
    const redis = await startRedis();
    await redis.kill();
    try {
      await using process = new ServiceProcess('gateway', { REDIS_URL: redis.url });
      const { port } = await process.logged('listening');
      const reason = async (): Promise<unknown> => {
        const response = await fetch(`http://127.0.0.1:${port}/readyz`);
        return ((await response.json()) as Record<string, unknown>)['reason'];
      };
      expect(await reason()).toBe('redis_unavailable');
      await redis.restart();
      await until(async () => (await reason()) === 'no_workers', 'it asks Redis');
      expect(process.lines.filter((line) => line['event'] === 'redis_lost')).toHaveLength(1);
      expect(process.lines.filter((line) => line['event'] === 'redis_back')).toHaveLength(1);
    } finally {
      await redis.stop();
    }
  });

  it.each(['SIGTERM', 'SIGINT'] as const)('stops on %s and exits with 0', async (signal) => {
    const redis = await startRedis();
    try {
      await using process = new ServiceProcess('gateway', { REDIS_URL: redis.url });
      await process.logged('listening');
      process.child.kill(signal);
      expect(await process.exited).toBe(0);
      expect(process.lines.at(-1)).toMatchObject({ event: 'stopped' });
    } finally {
      await redis.stop();
    }
  });
});
