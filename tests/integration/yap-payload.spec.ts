import { afterAll, beforeAll, beforeEach, describe, expect, it } from '@jest/globals';
import { frames, speak, transcript } from '@voice-fleet/testkit/coded-speech';
import { Fleet } from '../support/fleet.ts';
import { ScriptedEngine } from '../support/scripted-engine.ts';
import type { YapSocket } from '../support/yap-socket.ts';

describe('a message that the utterance cannot take', () => {
  let fleet: Fleet;
  let client: YapSocket;

  beforeAll(async () => {
    fleet = await Fleet.start([new ScriptedEngine({ slots: 8 })]);
  });
  beforeEach(async () => {
    for (const socket of fleet.sockets) socket.terminate();
    client = await fleet.client();
  });
  afterAll(() => fleet[Symbol.asyncDispose]());

  const append = (payload: unknown): void => client.send('input_audio_buffer.append', 'a', payload);

  /** Sends `bad` in the middle of utterance `a`: it must be refused, and the utterance must not notice. */
  async function expectRefused(bad: () => void, error: object): Promise<void> {
    const words = [1, 2, 3, 4];
    const [first, ...others] = frames(speak(words));
    client.start('a');
    client.append('a', first as Buffer);
    bad();
    expect((await client.next('error')).payload).toMatchObject(error);
    for (const frame of others) client.append('a', frame);
    client.finalize('a');
    const final = await client.next('final');
    expect([final.request_id, final.payload.normalized_text]).toEqual(['a', transcript(words)]);
    expect(client.received.filter((frame) => frame.type === 'error')).toHaveLength(1);
  }

  it.each([
    ['no payload', undefined],
    ['no audio', {}],
    ['empty audio', { audio: '' }],
    ['blank audio', { audio: ' \n' }],
    ['audio that is no string', { audio: [0, 1] }],
    ['audio null', { audio: null }],
  ])('is an append with %s: missing_audio (Y17)', (_, payload) =>
    expectRefused(() => append(payload), {
      code: 'invalid_payload',
      details: { reason_code: 'missing_audio' },
    }),
  );

  it.each([
    ['what is not base64', '%%%%'],
    ['base64 with a stranger in it', 'AAAA*AAA'],
    ['base64 of an impossible length', 'AAAAA'],
    ['padding alone', '=='],
    ['a data URL', `data:audio/pcm;base64,${Buffer.alloc(320).toString('base64')}`],
    ['characters beyond ASCII', 'Ł'.repeat(8)],
    ['one byte', Buffer.alloc(1).toString('base64')],
    ['an odd number of bytes', Buffer.alloc(641).toString('base64')],
  ])('is an append with %s: invalid_audio (Y20)', (_, audio) =>
    expectRefused(() => append({ audio }), {
      code: 'invalid_audio',
      details: { reason_code: 'invalid_audio' },
    }),
  );

  it.each([
    ['an append', () => client.append('b', speak([9]))],
    ['a final commit', () => client.finalize('b')],
  ])('is %s with another id: request_id_mismatch, which names the active one (Y19)', (_, bad) =>
    expectRefused(bad, {
      code: 'invalid_payload',
      details: { reason_code: 'request_id_mismatch', active_request_id: 'a' },
    }),
  );

  it.each([
    ['an append', () => client.append('a', speak([9]))],
    ['a final commit', () => client.finalize('a')],
  ])(
    'is %s where none is open, be it before the start, after the end or after a cancel: no_active_request (Y18)',
    async (_, bad) => {
      const expectNone = async (): Promise<void> => {
        bad();
        const { request_id, payload } = await client.next('error');
        expect(request_id).toBe('a');
        expect(payload).toMatchObject({
          code: 'invalid_payload',
          details: { reason_code: 'no_active_request' },
        });
      };
      await expectNone();
      client.say('a', speak([1]));
      await expectNone();
      await client.next('done');
      await expectNone();
      client.start('a');
      client.send('cancel', 'c');
      await expectNone();
      client.say('a', speak([2]));
      await client.next('done');
      expect(client.of('a').filter((frame) => frame.type === 'final')).toMatchObject([
        { payload: { normalized_text: 'w1' } },
        { payload: { normalized_text: 'w2' } },
      ]);
    },
  );
});
