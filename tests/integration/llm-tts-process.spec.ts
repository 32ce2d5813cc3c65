import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { TURNS_PATH, type TurnEvent } from '@voice-fleet/protocol/turn';
import { FakeChat } from '@voice-fleet/testkit/fake-openai/fake-chat';
import { FakeOpenAi } from '@voice-fleet/testkit/fake-openai/fake-openai';
import { ServiceProcess } from '../support/service-process.ts';
import { stopwatch } from '../support/stopwatch.ts';
import { turn } from '../support/turns.ts';
import { until } from '../support/until.ts';

/** The service as it is started for real; without a Redis, which it can do without. */
describe('the llm-tts process', () => {
  let chat: FakeChat;
  let openai: FakeOpenAi;
  let service: ServiceProcess;
  beforeEach(async () => {
    chat = new FakeChat();
    openai = await FakeOpenAi.start({ chat });
  });
  afterEach(async () => {
    await service[Symbol.asyncDispose]();
    await openai.stop();
  });

  const start = async (env: Record<string, string> = {}): Promise<number> => {
    service = new ServiceProcess('llm-tts', {
      REDIS_URL: 'redis://127.0.0.1:1',
      OPENAI_BASE_URL: openai.baseUrl,
      STREAM_TTS_ENGINE: 'none',
      ...env,
    });
    return Number((await service.logged('listening'))['port']);
  };

  /** A turn amid its reply, which goes on when `release` is called; what came of it in the end. */
  async function turnUnderWay(port: number) {
    let release: () => void = () => undefined;
    const released = new Promise<void>((resolve) => {
      release = resolve;
    });
    chat.next({
      tokens: (async function* () {
        yield 'One';
        await released;
        yield ' two.';
      })(),
    });
    const response = await fetch(`http://127.0.0.1:${port}${TURNS_PATH}`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify(turn({})),
    });
    const whole = response.text();
    whole.catch(() => undefined);
    await until(() => chat.calls[0]?.sent === 1, 'the reply has begun');
    return { release, whole };
  }

  const ready = (port: number): Promise<Response> => fetch(`http://127.0.0.1:${port}/readyz`);

  it('says that it drains when it is told to stop, lets a turn finish, and exits with 0 (P45)', async () => {
    const port = await start();
    expect((await ready(port)).status).toBe(200);
    const { release, whole } = await turnUnderWay(port);
    const exited = service.kill('SIGTERM');
    await until(async () => (await ready(port)).status === 503, 'it is not ready');
    expect(await (await ready(port)).json()).toMatchObject({ reason: 'draining', turns: 1 });
    release();
    const lines = (await whole).trim().split('\n');
    expect(JSON.parse(lines.at(-1) ?? '') as TurnEvent).toMatchObject({ outcome: 'spoken' });
    await exited;
    expect(await service.exited).toBe(0);
  });

  it('cuts off a turn that does not finish, in bounded time', async () => {
    const port = await start({ LLM_TTS_DRAIN_S: '0.2' });
    const { whole } = await turnUnderWay(port);
    const took = stopwatch();
    await service.kill('SIGTERM');
    expect(await service.exited).toBe(0);
    expect(took()).toBeLessThan(5_000);
    // An answer without an end cannot be taken for a whole one.
    await expect(whole).rejects.toThrow();
    expect(chat.last.exchange.abortedMs).toBeDefined();
    expect(await service.logged('turn_ended')).toMatchObject({ outcome: 'cancelled' });
  });

  it('ends with its launcher', async () => {
    await start();
    service.child.stdin?.end();
    expect(await service.exited).toBe(0);
  });

  it.each([
    ['OPENAI_BASE_URL', 'localhost:8000'],
    ['STREAM_LLM_TIMEOUT_S', '4'],
    ['OPENAI_TEMPERATURE', '2.1'],
    ['TTS_BASE_URL', ''],
  ])('exits with 1 and a line about %s=%j (P40)', async (name, value) => {
    service = new ServiceProcess('llm-tts', {
      STREAM_TTS_ENGINE: name === 'TTS_BASE_URL' ? 'openai' : 'none',
      [name]: value,
    });
    expect(await service.exited).toBe(1);
    expect(service.lines).toEqual([
      expect.objectContaining({ level: 'error', event: 'config_invalid', variable: name }),
    ]);
  });
});
