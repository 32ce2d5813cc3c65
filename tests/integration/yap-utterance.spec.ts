import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from '@jest/globals';
import { frames, range, silence, speak, transcript } from '@voice-fleet/testkit/coded-speech';
import { Fleet } from '../support/fleet.ts';
import { ScriptedEngine } from '../support/scripted-engine.ts';
import type { YapSocket } from '../support/yap-socket.ts';

/** The types of the frames of an utterance; tokens in a row count as one. */
function shape(client: YapSocket, requestId: string): string[] {
  const types = client.of(requestId).map((frame) => frame.type);
  return types.filter((type, index) => type !== 'token' || types[index - 1] !== 'token');
}

describe('an utterance over /api/asr-streaming', () => {
  let fleet: Fleet;
  let engine: ScriptedEngine;
  let client: YapSocket;

  beforeAll(async () => {
    engine = new ScriptedEngine({ slots: 8 });
    fleet = await Fleet.start([engine]);
  });
  beforeEach(async () => {
    client = await fleet.client();
  });
  afterEach(() => {
    engine.resume();
    client.terminate();
  });
  afterAll(() => fleet[Symbol.asyncDispose]());

  it('gives tokens, then one final, then one done, all with its own ids (Y13, Y14, Y16)', async () => {
    const words = range(1, 8);
    client.say('utt-1', speak(words));
    const done = await client.next('done');
    expect(shape(client, 'utt-1')).toEqual(['token', 'final', 'done']);
    expect(client.received.filter((frame) => frame.request_id !== 'utt-1')).toHaveLength(1);
    expect(new Set(client.of('utt-1').map((frame) => frame.session_id))).toEqual(new Set(['s1']));
    expect(client.text('utt-1')).toBe(transcript(words));
    expect((await client.next('final')).payload.normalized_text).toBe(transcript(words));
    expect(done.payload.usage).toEqual({
      prompt_tokens: words.length * 5,
      completion_tokens: words.length,
      total_tokens: words.length * 6,
    });
  });

  it('gives each word while the client still sends: never later than the audio of the next one (Y13, Y14, Y15)', async () => {
    const words = range(1, 25);
    client.start('live');
    for (const [index, word] of words.entries()) {
      for (const frame of frames(speak([word]))) client.append('live', frame);
      const { request_id, payload } = await client.next('token');
      expect([request_id, payload.text]).toEqual(['live', `${index === 0 ? '' : ' '}w${word}`]);
    }
    client.finalize('live');
    await client.next('done');
    expect(shape(client, 'live')).toEqual(['token', 'final', 'done']);
    expect((await client.next('final')).payload.normalized_text).toBe(transcript(words));
    expect(client.text('live')).toBe(transcript(words));
  });

  it('gives the last word though the audio ends right behind it (Y13, Y14)', async () => {
    client.say('cut', speak([1, 2]).subarray(0, -silence(80).length));
    await client.next('done');
    expect(client.text('cut')).toBe(transcript([1, 2]));
    expect((await client.next('final')).payload.normalized_text).toBe(transcript([1, 2]));
  });

  it('keeps every character of the words in tokens and final alike (Y14)', async () => {
    const spoken = ['Grüße', ' "quoted"\n', '\u{1F600}', '', ' \\ </script>', ' е́'];
    const spelling = new ScriptedEngine({ spell: (_, nth) => spoken[nth] ?? '?' });
    await using own = await Fleet.start([spelling]);
    const speaker = await own.client();
    speaker.say('odd', speak(range(1, spoken.length)));
    const final = await speaker.next('final');
    expect(final.payload.normalized_text).toBe(speaker.text('odd'));
    // The scripted engine itself puts a space before every word but the first.
    expect(speaker.text('odd')).toBe(spoken.join(' '));
  });

  it.each([
    ['without any audio', Buffer.alloc(0)],
    ['of silence', silence(400)],
  ])(
    '%s gives an empty final and done at once, no token, and the next one works (Y21)',
    async (_, pcm) => {
      client.start('empty');
      if (pcm.length > 0) client.append('empty', pcm);
      client.finalize('empty');
      const done = await client.next('done');
      expect(shape(client, 'empty')).toEqual(['final', 'done']);
      expect((await client.next('final')).payload.normalized_text).toBe('');
      const prompt_tokens = pcm.length / 2560;
      expect(done.payload.usage).toEqual({
        prompt_tokens,
        completion_tokens: 0,
        total_tokens: prompt_tokens,
      });
      client.say('full', speak([3]));
      expect((await client.next('final')).payload.normalized_text).toBe(transcript([3]));
    },
  );

  it('is followed by as many as the client likes, each with its own text alone (Y29)', async () => {
    for (let nth = 1; nth <= 20; nth += 1) {
      const words = range(nth * 10, nth * 10 + 3);
      client.say(`utt-${nth}`, speak(words));
      const done = await client.next('done');
      expect(done.request_id).toBe(`utt-${nth}`);
      expect(shape(client, `utt-${nth}`)).toEqual(['token', 'final', 'done']);
      expect(client.text(`utt-${nth}`)).toBe(transcript(words));
      expect((await client.next('final')).payload.normalized_text).toBe(transcript(words));
      expect(done.payload.usage.completion_tokens).toBe(words.length);
    }
    expect(client.received.filter((frame) => frame.type === 'done')).toHaveLength(20);
    expect(client.received.filter((frame) => frame.type === 'error')).toEqual([]);
  });

  it('may reuse the id of an earlier one (Y29)', async () => {
    for (const word of [1, 2, 3]) {
      client.say('same', speak([word]));
      expect((await client.next('final')).payload.normalized_text).toBe(`w${word}`);
      await client.next('done');
    }
    expect(client.of('same').map((frame) => frame.type)).toEqual(
      Array(3).fill(['token', 'final', 'done']).flat(),
    );
  });

  it('comes whole out of 10 000 frames of one sample each', async () => {
    const before = engine.takenSamples;
    const pcm = speak([7, 8]).subarray(0, 20_000);
    client.start('tiny');
    for (let at = 0; at < pcm.length; at += 2) client.append('tiny', pcm.subarray(at, at + 2));
    client.finalize('tiny');
    const done = await client.next('done');
    expect(shape(client, 'tiny')).toEqual(['token', 'final', 'done']);
    expect(client.text('tiny')).toBe(transcript([7, 8]));
    expect(engine.takenSamples - before).toBe(10_000);
    expect(done.payload.usage.prompt_tokens).toBe(Math.ceil(10_000 / 1280));
  });

  it('comes whole out of frames of any even size', async () => {
    const words = range(1, 6);
    const pcm = speak(words);
    client.start('ragged');
    for (let at = 0, size = 2; at < pcm.length; at += size, size = ((size * 7) % 9_001) * 2)
      client.append('ragged', pcm.subarray(at, at + size));
    client.finalize('ragged');
    expect((await client.next('final')).payload.normalized_text).toBe(transcript(words));
  });
});

describe('an utterance longer than a segment', () => {
  it('gives one final and one done, whose usage is the sum over all segments (Y13, Y14, Y16)', async () => {
    const engine = new ScriptedEngine();
    await using fleet = await Fleet.start([engine], {
      STT_SEGMENT_SECONDS: '2',
      STT_MAX_BACKLOG_SECONDS: '60',
    });
    const client = await fleet.client();
    const words = range(1, 30);
    client.say('long', speak(words));
    const done = await client.next('done');
    expect(engine.streams.length).toBeGreaterThan(5);
    expect(shape(client, 'long')).toEqual(['token', 'final', 'done']);
    expect(client.text('long')).toBe(transcript(words));
    expect((await client.next('final')).payload.normalized_text).toBe(transcript(words));
    const { prompt_tokens, completion_tokens, total_tokens } = done.payload.usage;
    const positions = engine.streams.map((stream) => Math.ceil(stream.samples / 1280));
    expect(prompt_tokens).toBe(positions.reduce((sum, count) => sum + count, 0));
    expect(completion_tokens).toBeGreaterThanOrEqual(words.length);
    expect(total_tokens).toBe(prompt_tokens + completion_tokens);
  });
});
