import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { range, speak, transcript } from '@voice-fleet/testkit/coded-speech';
import { Fleet } from '../support/fleet.ts';
import { ScriptedEngine } from '../support/scripted-engine.ts';
import { until } from '../support/until.ts';
import type { YapSocket } from '../support/yap-socket.ts';

function errors(client: YapSocket): unknown[] {
  return client.received.filter((frame) => frame.type === 'error').map((frame) => frame.payload);
}

describe('rate limits', () => {
  let fleet: Fleet;

  beforeAll(async () => {
    fleet = await Fleet.start([new ScriptedEngine({ slots: 8 })], {
      WS_RATE_LIMIT: 'true',
      WS_MAX_MESSAGES_PER_WINDOW: '5',
      WS_MESSAGE_WINDOW_S: '600',
      WS_MAX_CANCELS_PER_WINDOW: '2',
      WS_CANCEL_WINDOW_S: '300',
    });
  });
  afterAll(() => fleet[Symbol.asyncDispose]());

  const limited = (kind: string, limit: number, window_seconds: number): object => ({
    code: 'rate_limited',
    message: expect.stringContaining('dropped'),
    details: {
      reason_code: `${kind}_rate_limited`,
      kind,
      limit,
      window_seconds,
      retry_in: expect.any(Number),
    },
  });

  it('drop the messages above them and say when to come again; the session goes on (Y60)', async () => {
    const client = await fleet.client();
    client.start('a');
    for (const word of [1, 2, 3]) client.append('a', speak([word]));
    client.send('session.update', 'u');
    client.append('a', speak([4]));
    client.start('b');
    await client.settled();
    expect(errors(client)).toEqual([limited('message', 5, 600), limited('message', 5, 600)]);
    for (const frame of client.received) {
      if (frame.type !== 'error') continue;
      const { retry_in } = frame.payload.details as { retry_in?: number };
      expect(retry_in).toBeGreaterThan(500);
      expect(retry_in).toBeLessThanOrEqual(600);
    }
    // The start of b was dropped, so a is still the one that words belong to.
    await until(() => client.text('a') === transcript([1, 2, 3]), 'a is heard');
    expect(client.of('b').map((frame) => frame.type)).toEqual(['error']);
  });

  it('leave ping, pong, cancel and end alone (Y60)', async () => {
    const client = await fleet.client();
    for (const id of range(1, 6)) client.send('session.update', `u${id}`);
    for (const id of range(1, 20)) {
      client.send('pong', `o${id}`);
      client.send('ping', `p${id}`);
      expect((await client.next('pong')).request_id).toBe(`p${id}`);
    }
    client.send('cancel', 'c');
    await client.next('cancelled');
    expect(errors(client)).toHaveLength(1);
    client.send('end', 'bye');
    expect((await client.closed).code).toBe(1000);
  });

  it('count cancels on their own: the one too many cancels nothing (Y60)', async () => {
    const client = await fleet.client();
    client.send('cancel', 'c1');
    client.send('cancel', 'c2');
    client.start('a');
    client.append('a', speak([1]));
    client.send('cancel', 'c3');
    client.finalize('a');
    await client.next('done');
    expect(errors(client)).toEqual([limited('cancel', 2, 300)]);
    expect(client.text('a')).toBe('w1');
    expect(client.received.filter((frame) => frame.type === 'cancelled')).toHaveLength(2);
  });

  it('are of each connection alone, and off unless asked for (Y60)', async () => {
    const [one, two] = await Promise.all([fleet.client(), fleet.client()]);
    for (const id of range(1, 6)) one.send('session.update', `u${id}`);
    two.say('a', Buffer.alloc(640));
    await two.next('done');
    await one.settled();
    expect([errors(one).length, errors(two).length]).toEqual([1, 0]);
    await using free = await Fleet.start([new ScriptedEngine()], {
      WS_MAX_MESSAGES_PER_WINDOW: '5',
      WS_MAX_CANCELS_PER_WINDOW: '2',
    });
    const client = await free.client();
    for (const id of range(1, 50)) client.send('session.update', `u${id}`);
    for (const id of range(1, 50)) client.send('cancel', `c${id}`);
    await client.settled();
    expect(errors(client)).toEqual([]);
  });
});

describe('a client that never reads', () => {
  const MIB = 1024 * 1024;

  /** Sends pings whose answers it does not read, until the gateway lets go of the session. Returns the bytes sent. */
  async function flood(fleet: Fleet, client: YapSocket, idBytes: number): Promise<number> {
    const id = 'x'.repeat(idBytes);
    let sent = 0;
    for (;;) {
      for (let part = 0; part < MIB; part += idBytes) client.send('ping', id);
      sent += MIB;
      await new Promise<void>((resolve) =>
        client.socket.ping(undefined, undefined, () => resolve()),
      );
      if ((await fleet.get('/readyz')).body['leased'] === 1) return sent;
      if (sent > 256 * MIB) throw new Error('the gateway keeps everything');
    }
  }

  it('is closed with 1013 before much waits for it, and others do not notice', async () => {
    await using fleet = await Fleet.start([new ScriptedEngine({ slots: 2 })]);
    const [client, other] = await Promise.all([fleet.client(), fleet.client()]);
    other.start('before');
    client.socket.pause();
    const sent = await flood(fleet, client, 250);
    // What the kernel holds of both directions, and then 1 MiB or 1024 frames of ours.
    expect(sent).toBeLessThan(64 * MIB);
    other.append('before', speak([1, 2]));
    other.finalize('before');
    await other.next('done');
    expect(other.text('before')).toBe(transcript([1, 2]));
    client.socket.resume();
    expect(await client.closed).toEqual({ code: 1013, reason: 'client reads too slowly' });
    expect(new Set(client.received.slice(1).map((frame) => frame.type))).toEqual(new Set(['pong']));
  });
});
