import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from '@jest/globals';
import { YapServerFrame } from '@voice-fleet/protocol/yap';
import { frames, range, silence, speak, transcript } from '@voice-fleet/testkit/coded-speech';
import { Fleet } from '../support/fleet.ts';
import { ScriptedEngine } from '../support/scripted-engine.ts';
import type { YapSocket } from '../support/yap-socket.ts';

const MAX_BYTES = 2_048;
const WHOLE = { type: 'ping', session_id: 's', request_id: 'r' };

describe('frames on /api/asr-streaming', () => {
  let fleet: Fleet;
  let engine: ScriptedEngine;
  let client: YapSocket;

  beforeAll(async () => {
    engine = new ScriptedEngine({ slots: 8, model: 'served' });
    fleet = await Fleet.start([engine], { WS_MAX_MESSAGE_BYTES: String(MAX_BYTES) });
  });
  beforeEach(async () => {
    client = await fleet.client();
  });
  afterEach(() => {
    engine.resume();
    client.terminate();
  });
  afterAll(() => fleet[Symbol.asyncDispose]());

  /** The one error that answers what was just sent, and proof that the socket lives on. */
  async function answer(): Promise<{ ids: string[]; code: string; details: object; text: string }> {
    await client.settled();
    const errors = client.received.filter((frame) => frame.type === 'error');
    expect(errors).toHaveLength(1);
    const { session_id, request_id, payload } = await client.next('error');
    const { code, details, message } = payload;
    return { ids: [session_id, request_id], code, details, text: message };
  }

  const invalid = { code: 'invalid_message', details: { reason_code: 'invalid_message' } };

  it('from the server all have exactly type, session_id, request_id and payload (Y8)', async () => {
    const raw: Record<string, unknown>[] = [];
    client.socket.on('message', (data: Buffer) => raw.push(JSON.parse(data.toString())));
    client.send('session.update', 'r1', { model: 'served' });
    client.send('nonsense', 'r2');
    client.start('r3');
    for (const frame of frames(speak([1, 2]), 40)) client.append('r3', frame);
    client.finalize('r3');
    await client.next('done');
    engine.stall();
    client.start('r4');
    for (let part = 0; part < 150; part += 1) client.append('r4', silence(40));
    await client.next('status');
    client.send('cancel', 'r5');
    client.send('ping', 'r6');
    client.send('end', 'r7');
    await client.closed;
    const seen = new Set(['session.created', ...raw.map((frame) => frame['type'])]);
    // Those that only clients get who have asked for them.
    const optIn = ['ack', 'session.resumed', 'session.report'];
    const known = YapServerFrame.options.map((option) => option.shape.type.value);
    expect([...seen].sort()).toEqual(known.filter((type) => !optIn.includes(type)).sort());
    for (const frame of raw) {
      expect(Object.keys(frame).sort()).toEqual(['payload', 'request_id', 'session_id', 'type']);
      expect(typeof frame['payload']).toBe('object');
    }
  });

  it.each([
    ['no JSON', 'hello'],
    ['empty', ''],
    ['cut JSON', '{"type":"ping"'],
    ['an array', '[]'],
    ['null', 'null'],
    ['a string', '"ping"'],
    ['without a type', JSON.stringify({ ...WHOLE, type: undefined })],
    ['of a blank type', JSON.stringify({ ...WHOLE, type: ' ' })],
    ['of a type that is no string', JSON.stringify({ ...WHOLE, type: 1 })],
    ['without session_id, though a ping', JSON.stringify({ ...WHOLE, session_id: undefined })],
    ['with a blank session_id', JSON.stringify({ ...WHOLE, session_id: '\n' })],
    ['without request_id, though a ping', JSON.stringify({ ...WHOLE, request_id: null })],
    ['with a blank request_id', JSON.stringify({ ...WHOLE, request_id: '' })],
    ['with an array as payload', JSON.stringify({ ...WHOLE, payload: [] })],
    ['with a string as payload', JSON.stringify({ ...WHOLE, payload: '{}' })],
  ])('that are %s are answered with invalid_message and the socket lives (Y9)', async (_, text) => {
    client.sendRaw(text);
    expect(await answer()).toMatchObject({ ...invalid, ids: ['unknown', 'unknown'] });
  });

  it('that are invalid are answered with the ids of the last valid one (Y9)', async () => {
    client.send('pong', 'r9', {}, 's9');
    client.sendRaw(JSON.stringify({ ...WHOLE, request_id: ' ' }));
    expect(await answer()).toMatchObject({ ...invalid, ids: ['s9', 'r9'] });
  });

  it('may lack a payload or have extra keys (Y9)', async () => {
    client.sendRaw(JSON.stringify(WHOLE));
    client.sendRaw(JSON.stringify({ ...WHOLE, payload: null, extra: [1] }));
    for (const _ of [1, 2]) expect((await client.next('pong')).request_id).toBe('r');
    expect(client.received.filter((frame) => frame.type === 'error')).toEqual([]);
  });

  it.each(['hello', 'session.created', 'PING', 'constructor', '__proto__'])(
    'of the unknown type %s are answered with unknown_message_type and the socket lives (Y10)',
    async (type) => {
      client.send(type, 'r1');
      const { ids, code, details, text } = await answer();
      expect([ids, code]).toEqual([['s1', 'r1'], 'invalid_message']);
      expect(details).toEqual({ reason_code: 'unknown_message_type' });
      expect(text).toContain('input_audio_buffer.append');
    },
  );

  it('begin with session.created, which names session and model (Y11)', () => {
    const [created] = client.received;
    expect(created).toMatchObject({ type: 'session.created', request_id: 'unknown' });
    expect(created?.session_id).toMatch(/^sess_[0-9a-f]{32}$/);
    expect(created?.payload).toEqual({
      id: created?.session_id,
      model: 'served',
      created: expect.any(Number),
    });
  });

  it.each([
    ['the served model', { model: 'served' }],
    ['no model', {}],
    ['a model that is no string', { model: 7 }],
  ])('session.update with %s is answered with session.updated (Y12)', async (_, payload) => {
    const created = client.received[0]?.payload;
    client.send('session.update', 'r1', payload);
    const updated = await client.next('session.updated');
    expect([updated.session_id, updated.request_id]).toEqual(['s1', 'r1']);
    expect(updated.payload).toEqual(created);
  });

  it('session.update with another model is answered with unsupported_model and both names (Y12)', async () => {
    client.send('session.update', 'r1', { model: 'other' });
    expect(await answer()).toMatchObject({
      ids: ['s1', 'r1'],
      code: 'invalid_payload',
      details: {
        reason_code: 'unsupported_model',
        allowed_model: 'served',
        requested: 'other',
      },
    });
    expect(client.received.some((frame) => frame.type === 'session.updated')).toBe(false);
  });

  it('that are binary are answered with an error and the socket lives', async () => {
    client.start('a');
    client.sendRaw(speak([1]).subarray(0, 640));
    expect(await answer()).toMatchObject({
      ids: ['s1', 'a'],
      code: 'invalid_message',
      details: { reason_code: 'binary_not_supported' },
    });
    client.append('a', silence(20));
    client.finalize('a');
    expect((await client.next('done')).payload.usage.prompt_tokens).toBe(1);
  });

  it('that are too large are answered with an error up to four times the limit', async () => {
    const around = JSON.stringify({ ...WHOLE, pad: '' }).length;
    const sized = (bytes: number): string =>
      JSON.stringify({ ...WHOLE, pad: 'x'.repeat(bytes - around) });
    client.sendRaw(sized(MAX_BYTES));
    await client.next('pong');
    client.sendRaw(sized(MAX_BYTES * 4));
    expect(await answer()).toMatchObject({
      code: 'invalid_message',
      details: { reason_code: 'message_too_large', max_bytes: MAX_BYTES },
    });
    client.sendRaw(sized(MAX_BYTES * 4 + 1));
    expect((await client.closed).code).toBe(1009);
    expect(client.received.at(-1)?.type).toBe('pong');
  });

  it('may change session_id at will: answers carry that of their message, the utterance that of its start', async () => {
    client.send('input_audio_buffer.commit', 'a', {}, 'first');
    for (const [index, word] of range(1, 4).entries()) {
      const audio = speak([word]).toString('base64');
      for (let at = 0; at < audio.length; at += 1_600)
        client.send(
          'input_audio_buffer.append',
          'a',
          { audio: audio.slice(at, at + 1_600) },
          `s${index}`,
        );
    }
    client.send('ping', 'p', {}, 'asking');
    expect((await client.next('pong')).session_id).toBe('asking');
    client.send('input_audio_buffer.commit', 'a', { final: true }, 'last');
    await client.next('done');
    expect(client.text('a')).toBe(transcript(range(1, 4)));
    expect(new Set(client.of('a').map((frame) => frame.session_id))).toEqual(new Set(['first']));
  });
});
