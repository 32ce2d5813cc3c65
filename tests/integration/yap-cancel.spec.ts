import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from '@jest/globals';
import { range, speak, transcript } from '@voice-fleet/testkit/coded-speech';
import { Fleet } from '../support/fleet.ts';
import { ScriptedEngine } from '../support/scripted-engine.ts';
import { until } from '../support/until.ts';
import type { YapSocket } from '../support/yap-socket.ts';

/** After the cancel or the last frame of A, the client starts B without a pause, when told so, or after a while. */
const PAUSES = ['at once', 'after 50 ms'] as const;
/** Where A stands when it is cut: still taking audio, or ended by the client with its final not there yet. */
const STATES = ['active', 'inflight'] as const;

describe('cutting an utterance short', () => {
  let fleet: Fleet;
  let engine: ScriptedEngine;
  let client: YapSocket;

  beforeAll(async () => {
    engine = new ScriptedEngine({ slots: 8 });
    fleet = await Fleet.start([engine]);
  });
  beforeEach(async () => {
    for (const socket of fleet.sockets) socket.terminate();
    client = await fleet.client();
  });
  afterEach(() => engine.resume());
  afterAll(() => fleet[Symbol.asyncDispose]());

  /** Utterance A of which one word was heard and two more are stuck in front of the engine. */
  async function beginA(state: (typeof STATES)[number]): Promise<void> {
    client.start('A');
    client.append('A', speak([1]));
    await client.next('token');
    engine.stall();
    client.append('A', speak([2, 3]));
    if (state === 'inflight') client.finalize('A');
    await client.settled();
  }

  async function pause(how: (typeof PAUSES)[number]): Promise<void> {
    if (how === 'after 50 ms') await new Promise((resolve) => setTimeout(resolve, 50));
  }

  /** B must be heard in full and alone, and A be silent but for the one word of before. */
  async function expectOnlyB(): Promise<void> {
    const words = range(11, 16);
    client.say('B', speak(words));
    engine.resume();
    const done = await client.next('done');
    expect(done.request_id).toBe('B');
    expect(client.text('B')).toBe(transcript(words));
    expect((await client.next('final')).payload.normalized_text).toBe(transcript(words));
    expect(done.payload.usage).toMatchObject({ prompt_tokens: 30, completion_tokens: 6 });
    // Everything of A that the worker may have sent came before the end of B, on the same link.
    await client.settled();
    expect(client.of('A')).toMatchObject([{ type: 'token', payload: { text: 'w1' } }]);
    expect(client.received.filter((frame) => frame.type === 'error')).toEqual([]);
    const last = engine.streams.at(-1);
    expect(engine.streams.filter((stream) => stream !== last && !stream.over)).toEqual([]);
  }

  describe('by cancel', () => {
    it.each([
      ['the reason given', { reason: 'changed my mind' }, 'changed my mind'],
      ['client_request by default', {}, 'client_request'],
      ['client_request for a blank reason', { reason: ' ' }, 'client_request'],
      ['client_request for a reason that is no string', { reason: 7 }, 'client_request'],
    ])(
      'is answered once with %s, and nothing of it comes any more (Y25)',
      async (_, payload, reason) => {
        await beginA('active');
        client.send('cancel', 'c1', payload, 's9');
        const cancelled = await client.next('cancelled');
        expect(cancelled).toEqual({
          type: 'cancelled',
          session_id: 's9',
          request_id: 'c1',
          payload: { reason },
        });
        client.append('A', speak([4]));
        client.finalize('A');
        for (const _of of ['append', 'final commit'])
          expect((await client.next('error')).payload.details.reason_code).toBe(
            'no_active_request',
          );
        engine.resume();
        client.say('B', speak([5]));
        await client.next('done');
        const types = client.of('A').map((frame) => frame.type);
        expect(types).toEqual(['token', 'error', 'error']);
        expect(client.received.filter((frame) => frame.type === 'cancelled')).toHaveLength(1);
      },
    );

    it('is answered with nothing to cancel, too, and twice when asked twice (Y25)', async () => {
      client.send('cancel', 'c1');
      client.send('cancel', 'c2', { reason: 'again' });
      expect(await client.next('cancelled')).toMatchObject({ request_id: 'c1' });
      expect(await client.next('cancelled')).toMatchObject({
        request_id: 'c2',
        payload: { reason: 'again' },
      });
    });

    it('ends the engine stream, stuck as it is, without a final (Y25)', async () => {
      await beginA('active');
      const stream = engine.streams.at(-1);
      expect(stream?.over).toBe(false);
      client.send('cancel', 'c1');
      await until(() => stream?.over === true, 'the stream is ended');
      expect(client.of('A').map((frame) => frame.type)).toEqual(['token']);
    });

    for (const state of STATES)
      it.each(PAUSES)(
        `while ${state} leaves the next one, started %s, whole (Y26)`,
        async (how) => {
          await beginA(state);
          client.send('cancel', 'c1');
          await pause(how);
          await expectOnlyB();
          expect(client.received.filter((frame) => frame.type === 'cancelled')).toHaveLength(1);
        },
      );

    it('and starting again under the same id gives the new text alone (Y26)', async () => {
      await beginA('inflight');
      client.send('cancel', 'c1');
      await client.next('cancelled');
      const before = client.received.length;
      client.say('A', speak([21, 22]));
      engine.resume();
      await client.next('done');
      const after = client.received.slice(before);
      expect(after.at(-2)).toMatchObject({ payload: { normalized_text: transcript([21, 22]) } });
      expect(after.map((frame) => frame.type)).toEqual(['token', 'token', 'final', 'done']);
    });
  });

  describe('by starting another', () => {
    it.each(PAUSES)(
      'while active silences the first and leaves the other, started %s, whole (Y27)',
      async (how) => {
        await beginA('active');
        await pause(how);
        await expectOnlyB();
        expect(client.received.some((frame) => frame.type === 'cancelled')).toBe(false);
      },
    );

    it.each(PAUSES)(
      'while inflight silences the first and leaves the other, started %s, whole (Y28)',
      async (how) => {
        await beginA('inflight');
        await pause(how);
        await expectOnlyB();
        expect(client.received.some((frame) => frame.type === 'cancelled')).toBe(false);
      },
    );

    it('lets late audio of the first not into the other (Y27)', async () => {
      await beginA('active');
      client.start('B');
      client.append('A', speak([4]));
      client.append('B', speak([12]));
      client.append('A', speak([5]));
      client.finalize('A');
      client.finalize('B');
      engine.resume();
      expect((await client.next('final')).payload.normalized_text).toBe('w12');
      await client.next('done');
      const errors = client.received.filter((frame) => frame.type === 'error');
      expect(errors.map((frame) => frame.payload.details)).toEqual([
        { reason_code: 'request_id_mismatch', active_request_id: 'B' },
        { reason_code: 'request_id_mismatch', active_request_id: 'B' },
        { reason_code: 'request_id_mismatch', active_request_id: 'B' },
      ]);
    });

    it('under the same id begins anew: audio of before is forgotten (Y27)', async () => {
      client.start('A');
      engine.stall();
      client.append('A', speak([1, 2]));
      client.say('A', speak([3, 4]));
      engine.resume();
      await client.next('done');
      expect(client.of('A').map((frame) => frame.type)).toEqual([
        'token',
        'token',
        'final',
        'done',
      ]);
      expect(client.text('A')).toBe(transcript([3, 4]));
    });

    it('over and over leaves only the last, whichever way each race ends (Y27, Y28)', async () => {
      const rounds = 30;
      for (let round = 1; round <= rounds; round += 1) {
        client.start(`u${round}`);
        client.append(`u${round}`, speak([round]));
        if (round % 2 === 0) client.finalize(`u${round}`);
        if (round % 3 === 0) await client.settled();
      }
      client.say('last', speak([77, 78]));
      let done = await client.next('done');
      while (done.request_id !== 'last') done = await client.next('done');
      expect(client.text('last')).toBe(transcript([77, 78]));
      const order = client.received
        .filter((frame) => /^(u\d+|last)$/.test(frame.request_id))
        .map((frame) =>
          frame.request_id === 'last' ? rounds + 1 : Number(frame.request_id.slice(1)),
        );
      // Once a frame of a later one was seen, none of an earlier one may come.
      expect(order).toEqual([...order].sort((a, b) => a - b));
      for (let round = 1; round <= rounds; round += 1) {
        const own = client.of(`u${round}`).map((frame) => frame.type);
        expect([[], ['token'], ['token', 'final', 'done']]).toContainEqual(own);
        expect(['', `w${round}`]).toContain(client.text(`u${round}`));
      }
    });
  });
});
