import { afterEach, describe, expect, it } from '@jest/globals';
import { frames, range, speak, transcript } from '@voice-fleet/testkit/coded-speech';
import { Fleet } from '../support/fleet.ts';
import { ScriptedEngine } from '../support/scripted-engine.ts';
import { stopwatch } from '../support/stopwatch.ts';
import { until } from '../support/until.ts';
import type { YapSocket } from '../support/yap-socket.ts';

const KIB = 1024;

let fleet: Fleet;
afterEach(() => fleet[Symbol.asyncDispose]());

async function gauge(name: string): Promise<number> {
  const line = (await fleet.metrics()).split('\n').find((one) => one.startsWith(`${name} `));
  if (line === undefined) throw new Error(`no metric ${name}`);
  return Number(line.split(' ')[1]);
}

describe('a client that sends faster than it may', () => {
  /** 80 ms of audio as base64 in its envelope, and the header of its frame. */
  const FRAME_BYTES = 3_540;

  it('is read at its rate: all its words come, only later, and others do not wait for it', async () => {
    const rate = 256 * KIB;
    fleet = await Fleet.start([new ScriptedEngine()], {
      WS_MAX_BYTES_PER_S: String(rate),
      // So that the worker holds the client as well, many times: both must agree before it is read again.
      WS_INBOUND_QUEUE_MAX: '64',
    });
    const [client, other] = await Promise.all([fleet.client(), fleet.client()]);
    // Three quarters of a minute of audio, as from a file.
    const words = range(1, 113);
    const sent = frames(speak(words)).length * FRAME_BYTES;
    const expectedMs = ((sent - 4 * rate) / rate) * 1000;
    expect(expectedMs).toBeGreaterThan(3_000);
    const sinceMs = performance.now();
    const took = stopwatch();
    client.say('file', speak(words));
    for (let nth = 0; nth < 5; nth += 1) {
      const took = stopwatch();
      other.say(`live-${nth}`, speak([1, 2, 3]));
      await other.next('done');
      expect(took()).toBeLessThan(1_000);
    }
    expect(client.received.some((frame) => frame.type === 'final')).toBe(false);
    const final = await client.next('final');
    const tookMs = performance.now() - sinceMs;
    expect(final.payload.normalized_text).toBe(transcript(words));
    expect(tookMs).toBeGreaterThan(0.8 * expectedMs);
    expect(took()).toBeLessThan(2 * expectedMs + 2_000);
    expect(client.received.filter((frame) => frame.type === 'error')).toEqual([]);
    expect(await gauge('voice_gateway_send_rate_holds_total')).toBeGreaterThan(3);
    expect(await gauge('voice_gateway_input_holds_total')).toBeGreaterThan(3);
  });

  it('stays connected while it is not read for many heartbeats, and is heard afterwards', async () => {
    // One message is worth two seconds in which it is not read.
    fleet = await Fleet.start([new ScriptedEngine()], {
      WS_MAX_BYTES_PER_S: String(64 * KIB),
      WS_HEARTBEAT_S: '0.2',
    });
    const client = await fleet.client();
    client.start('a');
    client.append('a', speak(range(1, 24)));
    await until(
      async () => (await gauge('voice_gateway_send_rate_holds_total')) === 1,
      'it is not read',
    );
    const sinceMs = performance.now();
    client.finalize('a');
    expect((await client.next('final')).payload.normalized_text).toBe(transcript(range(1, 24)));
    expect(performance.now() - sinceMs).toBeGreaterThan(1_500);
    await client.settled();
  });
});

describe('a client that does not read', () => {
  /** Sends pings whose answers fill all buffers on the way, until events wait in the gateway. */
  async function clog(client: YapSocket): Promise<number> {
    client.socket.pause();
    const id = 'x'.repeat(250);
    for (let sent = 1; ; sent += 1) {
      client.send('ping', id);
      if (sent % 50 > 0) continue;
      await new Promise<void>((resolve) =>
        client.socket.ping(undefined, undefined, () => resolve()),
      );
      if ((await gauge('voice_gateway_outbox_waiting_events')) > 0) return sent;
      if (sent > 50_000) throw new Error('the gateway keeps everything');
    }
  }

  /** Sends frames one by one over `forMs`. */
  function paced(client: YapSocket, requestId: string, pcm: Buffer, forMs: number): Promise<void> {
    const left = frames(pcm);
    return new Promise((resolve) => {
      const timer = setInterval(() => {
        const frame = left.shift();
        if (frame) return client.append(requestId, frame);
        clearInterval(timer);
        resolve();
      }, forMs / left.length);
    });
  }

  it('gets each final, and its partials merged, after a minute of speech; others are not held up', async () => {
    fleet = await Fleet.start([new ScriptedEngine()], {
      WS_MAX_BYTES_PER_S: '0',
      WS_HEARTBEAT_S: '0.3',
    });
    const [client, other] = await Promise.all([fleet.client(), fleet.client()]);
    const pongs = await clog(client);
    const waitingPongs = await gauge('voice_gateway_outbox_waiting_events');
    const words = range(1, 50);
    const utterances = ['first', 'second', 'third'];
    for (const id of utterances) {
      // Twenty seconds of speech, over several heartbeats that cannot be answered.
      client.start(id);
      await paced(client, id, speak(words), 700);
      client.finalize(id);
      const took = stopwatch();
      other.say(id, speak([7, 8]));
      expect((await other.next('final')).payload.normalized_text).toBe(transcript([7, 8]));
      expect(took()).toBeLessThan(1_000);
    }
    // Of each utterance there is one partial, of all its words, and one final.
    const expected = waitingPongs + 2 * utterances.length;
    await until(
      async () => (await gauge('voice_gateway_outbox_waiting_events')) >= expected,
      'all is said',
    );
    expect(await gauge('voice_gateway_outbox_waiting_events')).toBe(expected);

    client.socket.resume();
    for (const id of utterances)
      expect(await client.next('final')).toMatchObject({
        request_id: id,
        payload: { normalized_text: transcript(words) },
      });
    await client.settled();
    for (const id of utterances) {
      const types = client.of(id).map((frame) => frame.type);
      expect(types).toEqual(['token', 'final', 'done']);
      expect(client.text(id)).toBe(transcript(words));
    }
    const got = client.received.filter((frame) => frame.type === 'pong').length;
    expect(got).toBe(pongs + 1);
    expect(await gauge('voice_gateway_outbox_waiting_events')).toBe(0);
  });

  it('counts for nothing any more when it has gone', async () => {
    fleet = await Fleet.start([new ScriptedEngine()], { WS_MAX_BYTES_PER_S: '0' });
    const client = await fleet.client();
    await clog(client);
    client.terminate();
    await until(
      async () => (await gauge('voice_gateway_outbox_waiting_events')) === 0,
      'nothing waits',
    );
  });
});
