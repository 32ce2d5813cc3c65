import { describe, expect, it } from '@jest/globals';
import { VoiceError } from '@voice-fleet/protocol/errors';
import { FakeClock } from '@voice-fleet/testkit/fake-clock';
import { ApiRequests } from './api-requests.ts';

function setUp(maxActive = 2) {
  const clock = new FakeClock();
  const ended: string[] = [];
  const stats = {
    onActive: () => undefined,
    onEnd: (route: string, outcome: string) => void ended.push(`${route} ${outcome}`),
  };
  return { clock, ended, requests: new ApiRequests({ clock, stats, maxActive }) };
}

/** Work that goes on until its signal aborts. */
function untilStopped(signal: AbortSignal): Promise<void> {
  return new Promise((_resolve, reject) => {
    signal.addEventListener('abort', () => reject(signal.reason as Error));
  });
}

const here = () => new AbortController().signal;

describe('requests for speech and chat', () => {
  it('are as many as may be; one more is told to come again', async () => {
    const { requests, ended } = setUp(1);
    const client = new AbortController();
    const first = requests.run('speech', client.signal, untilStopped);
    await expect(requests.run('chat', here(), async () => undefined)).rejects.toMatchObject({
      code: 'at_capacity',
      details: { retry_after_s: 1 },
    });
    client.abort(new Error('gone'));
    await expect(first).rejects.toThrow('gone');
    await requests.run('chat', here(), async () => undefined);
    expect(ended).toEqual(['chat refused', 'speech cancelled', 'chat served']);
    expect(requests.active).toBe(0);
  });

  it('count as refused where the client is wrong, and as failed where we are', async () => {
    const { requests, ended } = setUp();
    const fail = (error: Error) => requests.run('chat', here(), () => Promise.reject(error));
    await expect(fail(new VoiceError('invalid_message'))).rejects.toThrow();
    await expect(fail(new VoiceError('llm_failed'))).rejects.toThrow();
    await expect(fail(new Error('a fault'))).rejects.toThrow();
    expect(ended).toEqual(['chat refused', 'chat failed', 'chat failed']);
  });

  it('may end when the service stops, and are cut off when they take too long', async () => {
    const { requests, clock } = setUp();
    const working = requests.run('speech', here(), untilStopped);
    const drained = requests.drain(5_000);
    await expect(requests.run('chat', here(), async () => undefined)).rejects.toMatchObject({
      code: 'at_capacity',
    });
    clock.advance(4_999);
    expect(requests.active).toBe(1);
    clock.advance(1);
    await expect(working).rejects.toThrow('this service stops');
    await drained;
    expect(clock.pending).toBe(0);
  });
});
