import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { range, silence, speak, transcript } from '@voice-fleet/testkit/coded-speech';
import { Fleet, KEY } from '../support/fleet.ts';
import { ScriptedEngine } from '../support/scripted-engine.ts';

describe('the voice protocol', () => {
  let fleet: Fleet;

  beforeAll(async () => {
    fleet = await Fleet.start([new ScriptedEngine({ slots: 64 })]);
  });
  afterAll(async () => {
    await fleet[Symbol.asyncDispose]();
  });

  const violation = { type: 'error', code: 'PROTOCOL_VIOLATION', recoverable: false };

  it('P1, P2: /ws and /ws2 are the same, and the first frame after start is the protocol', async () => {
    for (const path of ['/ws', '/ws2']) {
      const socket = await fleet.voice({ path });
      socket.say(speak([1, 2]), { mode: 'transcribe' });
      expect(await socket.next('final_transcript')).toMatchObject({ text: 'w1 w2' });
      await socket.latency();
      const { story } = socket;
      const spoken = ['info', 'protocol', 'finalize_pending', 'final_transcript'];
      expect(story.filter((type) => type !== 'decode')).toEqual([...spoken, 'latency']);
      expect(socket.received[1]).toEqual({ type: 'protocol', version: 1 });
    }
  });

  it('P1: /ws_legacy says where to go, and closes', async () => {
    const socket = fleet.dialVoice({ path: '/ws_legacy', query: '' });
    const info = await socket.next('info');
    expect(info).toEqual({
      type: 'info',
      code: 'DEPRECATED',
      message: 'deprecated; migrate to /ws',
    });
    expect((await socket.closed).code).toBe(1000);
    expect(socket.received).toHaveLength(1);
  });

  it('P3: each connection has an id of its own', async () => {
    const ids = await Promise.all(
      range(1, 3).map(async () => (await fleet.dialVoice().next('info')).session_id),
    );
    expect(new Set(ids).size).toBe(3);
    for (const id of ids) expect(id).toMatch(/^sess_[0-9a-f]{32}$/);
  });

  it('P4: audio before the first start is a violation, and the end', async () => {
    const socket = await fleet.voice();
    socket.sendRaw(speak([1]));
    expect(await socket.next('error')).toMatchObject(violation);
    expect((await socket.closed).code).toBe(1008);
  });

  it('P5: a frame of 65536 bytes is taken, one of 65537 is a violation, in text too', async () => {
    for (const large of [Buffer.alloc(65_537), ' '.repeat(65_537), Buffer.alloc(2_000_000)]) {
      const socket = await fleet.voice();
      socket.start();
      socket.sendRaw(Buffer.alloc(65_536));
      await socket.settled();
      expect(socket.of('error')).toEqual([]);
      socket.sendRaw(large);
      expect(await socket.next('error')).toMatchObject(violation);
      expect((await socket.closed).code).toBe(1008);
    }
  });

  it('P6: a start while audio is captured is a violation', async () => {
    const socket = await fleet.voice();
    socket.start();
    socket.start();
    expect(await socket.next('error')).toMatchObject(violation);
    expect((await socket.closed).code).toBe(1008);
  });

  it('P7: another sample rate is refused, and the right one may follow', async () => {
    const socket = await fleet.voice();
    socket.start({ sample_rate: 8000 });
    // What its client had sent already is no violation.
    socket.speak(speak([7]));
    expect(await socket.next('error')).toMatchObject({
      code: 'UNSUPPORTED_SAMPLE_RATE',
      recoverable: true,
    });
    expect(await socket.next('error')).toMatchObject({ code: 'NOT_STARTED', recoverable: true });
    socket.say(speak([1]), { mode: 'transcribe' });
    expect((await socket.next('final_transcript')).text).toBe('w1');
    expect(socket.of('error')).toHaveLength(2);
  });

  it.each([
    ['text that is no JSON', 'garbage', 'BAD_JSON'],
    ['JSON of another shape', '[1]', 'BAD_JSON'],
    ['a start with a wrong field', '{"type":"start","mode":"sing"}', 'BAD_JSON'],
    ['an unknown type', '{"type":"dance"}', 'UNKNOWN_TYPE'],
    ['half a sample', Buffer.alloc(3), 'BAD_FRAME'],
    ['a stop before any start', '{"type":"stop"}', 'NOT_STARTED'],
  ])('P8: %s is answered, and the session goes on', async (_what, frame, code) => {
    const socket = await fleet.voice();
    socket.sendRaw(frame);
    expect(await socket.next('error')).toMatchObject({ code, recoverable: true });
    socket.say(speak([1]), { mode: 'transcribe' });
    expect((await socket.next('final_transcript')).text).toBe('w1');
  });

  it('P32: audio after a cancel is refused, once for all of it', async () => {
    const socket = await fleet.voice();
    socket.start();
    socket.speak(speak([1]));
    socket.cancel();
    socket.speak(speak(range(2, 9)));
    expect(await socket.next('error')).toMatchObject({ code: 'CANCELLED', recoverable: true });
    expect(await socket.next('error')).toMatchObject({ code: 'NOT_STARTED', recoverable: true });
    await socket.settled();
    expect(socket.of('error')).toHaveLength(2);
    expect(socket.of('final_transcript')).toEqual([]);
    socket.say(speak([1]), { mode: 'transcribe' });
    expect((await socket.next('final_transcript')).text).toBe('w1');
  });

  it('lets go of audio that was on its way when silence ended the utterance', async () => {
    const socket = await fleet.voice();
    socket.start({ mode: 'transcribe' });
    socket.speak(Buffer.concat([speak([1]), silence(80)]));
    await socket.latency();
    socket.speak(speak([2]));
    socket.stop();
    await socket.settled();
    expect(socket.of('error')).toEqual([]);
    expect(socket.of('final_transcript').map(({ text }) => text)).toEqual(['w1']);
  });

  it('a cancel with nothing open is answered too', async () => {
    const socket = await fleet.voice();
    socket.cancel();
    expect(await socket.coded('CANCELLED')).toMatchObject({ recoverable: true });
    socket.say(speak([1]), { mode: 'transcribe' });
    expect((await socket.next('final_transcript')).text).toBe('w1');
  });

  it.each([
    ['in the query', { query: `?api_key=${KEY}` }],
    ['in X-API-Key', { query: '', headers: { 'x-api-key': KEY } }],
    ['as a bearer', { query: '', headers: { authorization: `Bearer ${KEY}` } }],
  ])('takes a key %s', async (_where, options) => {
    await fleet.dialVoice(options).next('info');
  });

  it.each([
    ['a wrong key', { query: '?api_key=wrong' }],
    ['no key', { query: '' }],
    ['a wrong key beside a right one', { query: '?api_key=wrong', headers: { 'x-api-key': KEY } }],
  ])('refuses %s', async (_what, options) => {
    const socket = fleet.dialVoice(options);
    expect(await socket.next('error')).toMatchObject({ code: 'UNAUTHORIZED', recoverable: false });
    expect((await socket.closed).code).toBe(1008);
  });

  it('P15: every utterance has one final with an id of its own', async () => {
    const sockets = await Promise.all([fleet.voice(), fleet.voice()]);
    const ids: string[] = [];
    for (const socket of sockets) {
      for (const words of [[1], [], [2]]) {
        socket.say(Buffer.concat([speak(words), silence(200)]), { mode: 'transcribe' });
        const final = await socket.next('final_transcript');
        expect(final.text).toBe(transcript(words));
        ids.push(final.id);
        await socket.latency();
      }
      expect(socket.of('final_transcript')).toHaveLength(3);
    }
    expect(new Set(ids).size).toBe(6);
  });
});

describe('a voice session that is not let in', () => {
  it('is told that all slots are taken', async () => {
    await using fleet = await Fleet.start([new ScriptedEngine({ slots: 1 })]);
    await fleet.voice();
    const socket = fleet.dialVoice();
    expect(await socket.next('error')).toMatchObject({ code: 'AT_CAPACITY', recoverable: false });
    expect((await socket.closed).code).toBe(1013);
  });

  it('P41: is told that streaming is switched off, with or without a key', async () => {
    await using fleet = await Fleet.start([new ScriptedEngine()], { STREAMING_ENABLED: '0' });
    for (const query of ['', `?api_key=${KEY}`]) {
      const socket = fleet.dialVoice({ query });
      expect(await socket.next('error')).toMatchObject({
        code: 'STREAMING_DISABLED',
        recoverable: false,
      });
      expect((await socket.closed).code).toBe(1013);
    }
    expect((await fleet.get('/api/stream_config')).body['enabled']).toBe(false);
    await fleet.client();
  });
});
