import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { silence, speak, transcript } from '@voice-fleet/testkit/coded-speech';
import { Fleet } from '../support/fleet.ts';
import { ScriptedEngine } from '../support/scripted-engine.ts';
import { stopwatch } from '../support/stopwatch.ts';
import { until } from '../support/until.ts';
import type { YapSocket } from '../support/yap-socket.ts';

const IDLE_MS = 2_000;
const TICK_MS = 1_000;
/** A close comes within a tick of its limit. */
const LATEST_MS = IDLE_MS + TICK_MS + 500;
/** The gateway counts from its client's last activity, which is a moment before we count. */
const EARLIEST_MS = IDLE_MS - 500;

interface Closed {
  readonly code: number;
  readonly reason: string;
  readonly afterMs: number;
  /** As a stopwatch has it. */
  readonly tookMs: number;
}

async function closeOf(client: YapSocket): Promise<Closed> {
  const sinceMs = performance.now();
  const took = stopwatch();
  const closed = await client.closed;
  return { ...closed, afterMs: performance.now() - sinceMs, tookMs: took() };
}

/** Does it again and again until stopped. */
function repeatedly(everyMs: number, act: () => void): () => void {
  const timer = setInterval(act, everyMs);
  return () => clearInterval(timer);
}

let fleet: Fleet;
let gateways = 0;

/** A gateway with these settings, and a client of it. */
async function clientOf(env: Record<string, string>): Promise<YapSocket> {
  await fleet.addGateway(env);
  gateways += 1;
  const gateway = gateways;
  await until(async () => (await fleet.get('/readyz', gateway)).status === 200, 'ready');
  return fleet.client({ gateway });
}

beforeAll(async () => {
  fleet = await Fleet.start([new ScriptedEngine({ slots: 64 })], {
    WS_IDLE_TIMEOUT_S: '2',
    WS_WATCHDOG_TICK_S: '1',
  });
});
afterAll(() => fleet[Symbol.asyncDispose]());

describe('the idle timeout', () => {
  const expectIdleClose = ({ code, reason, afterMs, tookMs }: Closed): void => {
    expect([code, reason]).toEqual([4000, 'idle_timeout']);
    expect(afterMs).toBeGreaterThanOrEqual(EARLIEST_MS);
    expect(tookMs).toBeLessThanOrEqual(LATEST_MS);
  };

  it('closes a silent session with 4000 idle_timeout within a tick of the limit, without an error frame (Y30)', async () => {
    const client = await fleet.client();
    expectIdleClose(await closeOf(client));
    expect(client.received.map((frame) => frame.type)).toEqual(['session.created']);
  });

  it('is not put off by WebSocket pings (Y30)', async () => {
    const client = await fleet.client();
    let answered = 0;
    client.socket.on('pong', () => {
      answered += 1;
    });
    const stop = repeatedly(100, () => client.socket.ping());
    const closed = await closeOf(client);
    stop();
    expect(answered).toBeGreaterThan(5);
    expectIdleClose(closed);
  });

  it('is put off by pings of the protocol, and runs from the last of them (Y30)', async () => {
    const pinging = await fleet.client();
    const silent = await fleet.client();
    const stop = repeatedly(200, () => pinging.send('ping', 'p'));
    await silent.closed;
    const second = await fleet.client();
    await second.closed;
    stop();
    await pinging.settled();
    expectIdleClose(await closeOf(pinging));
  });

  it('is put off by a frame that is not even valid', async () => {
    const babbling = await fleet.client();
    const silent = await fleet.client();
    const stop = repeatedly(200, () => babbling.sendRaw('not json'));
    await silent.closed;
    stop();
    await babbling.settled();
  });

  it('does not close a session whose utterance is open, however long it is silent (Y31)', async () => {
    const client = await fleet.client();
    client.start('u');
    await client.settled();
    // Two sessions in a row run into the limit meanwhile.
    for (let nth = 0; nth < 2; nth += 1) await (await fleet.client()).closed;
    client.append('u', speak([1, 2]));
    client.finalize('u');
    expect((await client.next('final')).payload.normalized_text).toBe(transcript([1, 2]));
    expectIdleClose(await closeOf(client));
  });

  it('runs on after an utterance that was cancelled', async () => {
    const client = await fleet.client();
    client.start('u');
    client.send('cancel', 'u');
    await client.next('cancelled');
    expectIdleClose(await closeOf(client));
  });
});

describe('the longest duration of a session', () => {
  it('closes with 4003 and a reason even while the client streams (Y32)', async () => {
    const client = await clientOf({ WS_MAX_CONNECTION_DURATION_S: '3', WS_WATCHDOG_TICK_S: '1' });
    client.start('u');
    const stop = repeatedly(80, () => client.append('u', silence(80)));
    const closed = await closeOf(client);
    stop();
    expect([closed.code, closed.reason]).toEqual([4003, 'max connection duration reached']);
    expect(closed.afterMs).toBeGreaterThan(2_500);
    expect(closed.tookMs).toBeLessThan(4_500);
  });
});

describe('limits that are switched off', () => {
  it.each(['0', 'none', 'off'])('%s closes nothing (Y33)', async (off) => {
    const client = await clientOf({
      WS_IDLE_TIMEOUT_S: off,
      WS_MAX_CONNECTION_DURATION_S: off,
      WS_WATCHDOG_TICK_S: '0.05',
    });
    // Twenty ticks and more pass before this one is closed.
    const limited = await clientOf({ WS_IDLE_TIMEOUT_S: '1', WS_WATCHDOG_TICK_S: '0.05' });
    expect((await limited.closed).code).toBe(4000);
    await client.settled();
  });
});

describe('close codes and reasons of one’s own', () => {
  it('closes an idle session with the reason of WS_CLOSE_IDLE_REASON (Y34)', async () => {
    const client = await clientOf({
      WS_IDLE_TIMEOUT_S: '0.1',
      WS_WATCHDOG_TICK_S: '0.05',
      WS_CLOSE_IDLE_REASON: 'gone_quiet',
    });
    expect(await client.closed).toEqual({ code: 4000, reason: 'gone_quiet' });
  });

  it('closes a wrong key with WS_CLOSE_UNAUTHORIZED_CODE and a full fleet with WS_CLOSE_BUSY_CODE (Y34)', async () => {
    const own = await Fleet.start([new ScriptedEngine({ slots: 1 })], {
      WS_CLOSE_UNAUTHORIZED_CODE: '4401',
      WS_CLOSE_BUSY_CODE: '4429',
    });
    try {
      await own.client();
      const stranger = own.dial({ query: '?api_key=wrong' });
      expect((await stranger.next('error')).payload.code).toBe('authentication_failed');
      expect((await stranger.closed).code).toBe(4401);
      const late = own.dial();
      expect((await late.next('error')).payload.code).toBe('server_at_capacity');
      expect((await late.closed).code).toBe(4429);
    } finally {
      await own[Symbol.asyncDispose]();
    }
  });
});
