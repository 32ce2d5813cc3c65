import { afterAll, afterEach, beforeAll, describe, expect, it } from '@jest/globals';
import { frames, range, silence, speak, transcript } from '@voice-fleet/testkit/coded-speech';
import { Fleet } from '../support/fleet.ts';
import { ScriptedEngine } from '../support/scripted-engine.ts';
import { until } from '../support/until.ts';
import type { YapSocket } from '../support/yap-socket.ts';

describe('ping and end', () => {
  let fleet: Fleet;
  let engine: ScriptedEngine;

  beforeAll(async () => {
    engine = new ScriptedEngine({ slots: 8 });
    fleet = await Fleet.start([engine], { STT_MAX_BACKLOG_SECONDS: '600' });
  });
  afterEach(() => engine.resume());
  afterAll(() => fleet[Symbol.asyncDispose]());

  /** A client with 200 frames, 16 s of speech, waiting behind an engine that takes nothing. */
  async function queued(): Promise<{ client: YapSocket; words: number[]; taken: number }> {
    const client = await fleet.client();
    const words = range(1, 40);
    const taken = engine.takenSamples;
    engine.stall();
    client.start('utt');
    const parts = frames(speak(words));
    expect(parts).toHaveLength(200);
    for (const part of parts) client.append('utt', part);
    return { client, words, taken };
  }

  it('is answered with the ids of the ping', async () => {
    const client = await fleet.client();
    client.send('ping', 'p1', { any: 'thing' }, 's7');
    expect(await client.next('pong')).toEqual({
      type: 'pong',
      session_id: 's7',
      request_id: 'p1',
      payload: {},
    });
  });

  it('is answered within 100 ms while 200 appends wait, none of which is lost (Y22)', async () => {
    const { client, words, taken } = await queued();
    const tookMs: number[] = [];
    for (let nth = 0; nth < 10; nth += 1) {
      const sentMs = performance.now();
      client.send('ping', `p${nth}`);
      expect((await client.next('pong')).request_id).toBe(`p${nth}`);
      tookMs.push(performance.now() - sentMs);
    }
    expect(engine.takenSamples).toBe(taken);
    expect(client.of('utt')).toEqual([]);
    // The quickest of ten: the machine may be busy, a pong that had to wait for the queue would never have come.
    expect(Math.min(...tookMs)).toBeLessThan(100);
    client.finalize('utt');
    engine.resume();
    expect((await client.next('final')).payload.normalized_text).toBe(transcript(words));
    expect(client.received.some((frame) => frame.type === 'status')).toBe(false);
  });

  it('ignores a pong without a word', async () => {
    const client = await fleet.client();
    client.send('pong', 'p1');
    await client.settled();
    expect(client.received.map((frame) => frame.type)).toEqual(['session.created', 'pong']);
  });

  it('ends a session outside an utterance with session_end and 1000 (Y24)', async () => {
    const client = await fleet.client();
    client.say('utt', speak([1]));
    await client.next('done');
    client.send('end', 'bye', {}, 's8');
    client.send('ping', 'too-late');
    expect(await client.closed).toEqual({ code: 1000, reason: '' });
    expect(client.received.at(-1)).toEqual({
      type: 'session_end',
      session_id: 's8',
      request_id: 'bye',
      payload: {},
    });
  });

  it('ends a session ahead of queued audio, with the utterance abandoned and the slot free (Y24)', async () => {
    const { client, taken } = await queued();
    client.finalize('utt');
    client.send('end', 'bye');
    expect(await client.closed).toEqual({ code: 1000, reason: '' });
    expect(client.received.map((frame) => frame.type)).toEqual(['session.created', 'session_end']);
    expect(engine.takenSamples).toBe(taken);
    for (const other of fleet.sockets) other.terminate();
    const free = async (): Promise<boolean> => (await fleet.get('/readyz')).body['leased'] === 0;
    await until(free, 'the slot is free');
    expect(engine.openStreams).toBe(0);
  });
});

describe('a ping with an id of its own', () => {
  let fleet: Fleet;
  let engine: ScriptedEngine;

  beforeAll(async () => {
    engine = new ScriptedEngine({ slots: 8 });
    fleet = await Fleet.start([engine], { WS_IDLE_TIMEOUT_S: '1', WS_WATCHDOG_TICK_S: '0.05' });
  });
  afterEach(() => engine.resume());
  afterAll(() => fleet[Symbol.asyncDispose]());

  it('between final commit and done disturbs neither done nor the idle close later (Y23)', async () => {
    const client = await fleet.client();
    engine.stall();
    client.say('utt', speak([1, 2]));
    client.send('ping', 'other', {}, 'elsewhere');
    expect(await client.next('pong')).toMatchObject({
      session_id: 'elsewhere',
      request_id: 'other',
    });
    engine.resume();
    const done = await client.next('done');
    expect([done.session_id, done.request_id]).toEqual(['s1', 'utt']);
    expect(client.text('utt')).toBe(transcript([1, 2]));
    expect(await client.closed).toEqual({ code: 4000, reason: 'idle_timeout' });
    expect(client.received.at(-1)).toEqual(done);
  });

  it('makes no barge-in of the utterance after it: both are complete (Y23)', async () => {
    const client = await fleet.client();
    for (const [id, word] of [
      ['one', 1],
      ['two', 2],
    ] as const) {
      client.say(id, speak([word]));
      client.send('ping', `between-${id}`);
      expect((await client.next('done')).request_id).toBe(id);
      expect(client.of(id).map((frame) => frame.type)).toEqual(['token', 'final', 'done']);
    }
    client.terminate();
  });

  it('keeps a session open that is silent otherwise, as WebSocket pings do not (Y22)', async () => {
    const [pinging, silent] = await Promise.all([fleet.client(), fleet.client()]);
    const closed: string[] = [];
    void silent.closed.then(() => closed.push('silent'));
    void pinging.closed.then(() => closed.push('pinging'));
    await until(async () => {
      silent.socket.ping();
      await pinging.settled();
      return closed.length > 0;
    }, 'the silent one is closed');
    expect(closed).toEqual(['silent']);
    expect(await silent.closed).toEqual({ code: 4000, reason: 'idle_timeout' });
    pinging.say('utt', Buffer.concat([speak([5]), silence(80)]));
    await pinging.next('done');
    expect(await pinging.closed).toEqual({ code: 4000, reason: 'idle_timeout' });
  });
});
