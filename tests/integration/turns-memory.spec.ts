import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { startRedis, type TestRedis } from '@voice-fleet/testkit/redis';
import { Redis } from 'ioredis';
import { stopwatch } from '../support/stopwatch.ts';
import { replyText, Turns } from '../support/turns.ts';
import { until } from '../support/until.ts';

const SECRET = 'My cat is called Minka.';

describe('the memory of conversations', () => {
  let redis: TestRedis;
  let turns: Turns;
  let client: Redis;
  beforeEach(async () => {
    redis = await startRedis();
    client = new Redis(redis.url);
    client.on('error', () => undefined);
    turns = await Turns.start({ redis, env: { CONVERSATION_TTL_S: '60' } });
  });
  afterEach(async () => {
    await turns[Symbol.asyncDispose]();
    client.disconnect();
    await redis.stop();
  });

  const sent = (): unknown[] => turns.chat.last.messages.slice(1).map(({ content }) => content);
  const faults = (step: string): unknown[] =>
    turns.logged.filter((line) => line.event === 'memory_fault' && line['step'] === step);

  it('ends with its time, holds five turns at the most, and nothing else holds their text', async () => {
    for (let index = 0; index < 7; index++) await turns.take({ text: SECRET });
    const keys = await client.keys('*');
    expect(keys).toHaveLength(1);
    const [key = ''] = keys;
    expect(await client.llen(key)).toBe(5);
    const ttlMs = await client.pttl(key);
    expect(ttlMs).toBeGreaterThan(50_000);
    expect(ttlMs).toBeLessThanOrEqual(60_000);
    expect(JSON.stringify(turns.logged)).not.toContain('Minka');
    expect(await turns.metrics()).not.toContain('Minka');
  });

  it('is shared by all services: another goes on with the conversation', async () => {
    await turns.take({ text: SECRET });
    const other = await Turns.start({ redis });
    try {
      await other.take({ text: 'And now?' });
      expect(other.chat.last.messages.slice(1)).toHaveLength(3);
    } finally {
      await other[Symbol.asyncDispose]();
    }
  });

  it('has a turn written whole: question and answer are one step', async () => {
    const monitor = await client.monitor();
    const commands: string[] = [];
    monitor.on('monitor', (_time: unknown, args: string[]) => commands.push(args[0] ?? ''));
    await turns.take({ text: SECRET });
    await until(() => commands.includes('exec'), 'the turn was written');
    monitor.disconnect();
    const wrote = commands.map((name) => name.toLowerCase()).filter((name) => name !== 'info');
    expect(wrote).toEqual(['lrange', 'multi', 'rpush', 'ltrim', 'pexpire', 'exec']);
  });

  it('is missing while Redis is away: turns go on, and it is told; then it is back', async () => {
    await turns.take({ text: SECRET });
    await redis.kill();
    await until(
      () => turns.logged.some(({ event }) => event === 'redis_lost'),
      'the loss was noticed',
    );
    const took = stopwatch();
    expect(replyText(await turns.take({ text: 'Are you there?' }))).toContain('Are you there?');
    expect(took()).toBeLessThan(1_000);
    expect(sent()).toEqual(['Are you there?']);
    expect([faults('recall').length, faults('remember').length]).toEqual([1, 1]);
    const page = await turns.metrics();
    expect(page).toContain('voice_llm_tts_memory_faults_total{step="recall"} 1');
    expect(page).toContain('voice_llm_tts_memory_faults_total{step="remember"} 1');

    await redis.restart();
    await until(() => turns.logged.some(({ event }) => event === 'redis_back'), 'Redis is back');
    await turns.take({ text: 'One.' });
    await turns.take({ text: 'Two.' });
    expect(sent()).toHaveLength(3);
  });

  it('does not hold up a turn for long when Redis hangs', async () => {
    await turns.take({ text: SECRET });
    redis.freeze();
    try {
      const events = await turns.take({ text: 'Are you there?' });
      expect(events.at(-1)).toMatchObject({ type: 'complete', outcome: 'spoken' });
      expect(faults('recall')).toHaveLength(1);
    } finally {
      redis.thaw();
    }
  });

  it('that cannot be read is none, and its text is not logged', async () => {
    await turns.take({ text: SECRET });
    const [key = ''] = await client.keys('*');
    await client.rpush(key, 'Minka{');
    await turns.take({ text: 'Well?' });
    expect(sent()).toEqual(['Well?']);
    expect(faults('recall')).toHaveLength(1);
    expect(JSON.stringify(turns.logged)).not.toContain('Minka');
  });
});
