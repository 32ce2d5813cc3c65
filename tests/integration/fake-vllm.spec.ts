import { afterAll, afterEach, beforeAll, describe, expect, it } from '@jest/globals';
import { VLLM_MAX_FRAME_BYTES } from '@voice-fleet/protocol/vllm-realtime';
import { range, silence, speak, transcript } from '@voice-fleet/testkit/coded-speech';
import { FakeVllm } from '@voice-fleet/testkit/fake-vllm/fake-vllm';
import { codedHearing } from '@voice-fleet/testkit/fake-vllm/hearing';
import { DEFAULT_MODEL, type FakeVllmOptions } from '@voice-fleet/testkit/fake-vllm/options';
import { RawClient } from '@voice-fleet/testkit/fake-vllm/raw-client';
import fc from 'fast-check';

const started: FakeVllm[] = [];

async function start(options: FakeVllmOptions = {}): Promise<FakeVllm> {
  const fake = await FakeVllm.start(options);
  started.push(fake);
  return fake;
}

afterEach(async () => {
  for (const fake of started.splice(0)) await fake.close();
});

/** What the transcript of `speak(words)` is on this wire. */
function spoken(words: readonly number[]): string {
  return ` ${transcript(words)}`;
}

describe('the usual sequence', () => {
  it('greets at once, answers a good session.update with nothing, and gives a delta for each 80 ms', async () => {
    const fake = await start();
    const client = new RawClient(fake.url);
    const created = await client.next('session.created');
    expect(created.id).toMatch(/^sess-[0-9a-f]{16}$/);
    expect(Math.abs(created.created - Date.now() / 1000)).toBeLessThan(60);
    client.send({ type: 'session.update', model: DEFAULT_MODEL });
    await client.settled();
    expect(client.received.map(({ type }) => type)).toEqual(['session.created', 'error']);

    const { deltas, done } = await client.say(speak([1, 2, 300]));
    // Word n ends at 320 ms of its slot of 400 ms: in frame 3, 8, 13.
    const texts = Array.from(deltas, (text, frame) => ({ frame, text }));
    expect(texts.filter(({ text }) => text !== '')).toEqual([
      { frame: 3, text: ' w1' },
      { frame: 8, text: ' w2' },
      { frame: 13, text: ' w300' },
    ]);
    expect(done).toEqual({
      type: 'transcription.done',
      text: ' w1 w2 w300',
      usage: {
        prompt_tokens: 39,
        completion_tokens: deltas.length,
        total_tokens: 39 + deltas.length,
      },
    });
  });

  it('writes the fields that vLLM writes', async () => {
    const fake = await start();
    const client = await RawClient.open(fake.url);
    const texts: string[] = [];
    client.socket.on('message', (data: Buffer) => texts.push(data.toString()));
    const { deltas } = await client.say(silence(200));
    expect(JSON.parse(texts.at(-1) ?? '')).toHaveProperty('usage.prompt_tokens_details', null);
    expect(texts.slice(0, -1)).toEqual(
      deltas.map(() => '{"type":"transcription.delta","delta":""}'),
    );
  });

  it('serves utterance after utterance on one socket, and many sockets side by side', async () => {
    const fake = await start();
    const clients = await Promise.all(range(1, 20).map(() => RawClient.open(fake.url)));
    for (const round of range(1, 3)) {
      const said = await Promise.all(clients.map((client, n) => client.say(speak([round, n + 1]))));
      expect(said.map(({ done }) => done.text)).toEqual(
        clients.map((_, n) => spoken([round, n + 1])),
      );
    }
    expect(fake.counters).toMatchObject({ connections: 20, utterancesDone: 60, errors: 0 });
  });

  it('gives the same for the same audio in appends of any size', async () => {
    const fake = await start();
    const pcm = speak(range(1, 10));
    const sizes = fc.array(fc.integer({ min: 1, max: 4_000 }), { minLength: 1, maxLength: 20 });
    await fc.assert(
      fc.asyncProperty(sizes, async (samples) => {
        const client = await RawClient.open(fake.url);
        client.start();
        for (let at = 0, nth = 0; at < pcm.length; nth += 1) {
          const end = at + (samples[nth % samples.length] ?? 1) * 2;
          client.append(pcm.subarray(at, end));
          at = end;
        }
        client.final();
        const { deltas, done } = await client.transcript();
        expect([done.text, deltas.length]).toEqual([spoken(range(1, 10)), 60]);
        client.terminate();
      }),
      { numRuns: 15 },
    );
  });

  it('spreads a word over deltas in a row when told to, and hears with a real engine', async () => {
    const parts = await start({ hear: () => codedHearing({ tokensPerWord: 3 }) });
    const inParts = await (await RawClient.open(parts.url)).say(speak([12_345]));
    expect(inParts.deltas.slice(3, 6)).toEqual([' w1', '234', '5']);
    expect(inParts.done.text).toBe(' w12345');

    const calls: [number, number][] = [];
    const late = await start({
      hear: () => ({
        frame: async (pcm, ordinal) => {
          calls.push([pcm.length, ordinal]);
          await new Promise((resolve) => setImmediate(resolve));
          return ordinal === 2 ? 'é' : '';
        },
      }),
    });
    const heard = await (await RawClient.open(late.url)).say(silence(400));
    expect(heard.done.text).toBe('é');
    expect(calls).toEqual(heard.deltas.map((_, ordinal) => [2_560, ordinal]));
  });
});

describe('order and state', () => {
  let fake: FakeVllm;
  let client: RawClient;

  beforeAll(async () => {
    fake = await FakeVllm.start();
  });
  afterAll(() => fake.close());

  const open = async (): Promise<void> => {
    client = await RawClient.open(fake.url);
  };
  const begun = async (): Promise<void> => {
    await open();
    client.start();
  };

  it('1: keeps audio that comes before the start', async () => {
    await open();
    client.append(speak([1]));
    await client.settled();
    const { done } = await client.say(speak([2]));
    expect(done.text).toBe(spoken([1, 2]));
  });

  it('2: ignores a second start without a word', async () => {
    await begun();
    client.append(speak([1]));
    client.start();
    client.append(speak([2]));
    client.final();
    expect((await client.transcript()).done.text).toBe(spoken([1, 2]));
    expect([client.errors, fake.counters.startsIgnored]).toEqual([[], 1]);
  });

  it('3: loses an utterance that is started before the done of the last, audio and final', async () => {
    await begun();
    client.append(speak([1]));
    client.final();
    client.start();
    client.append(speak([2]));
    client.final();
    expect((await client.transcript()).done.text).toBe(spoken([1]));
    await client.settled();
    expect(client.received.filter(({ type }) => type === 'transcription.done')).toHaveLength(1);
    expect(fake.liveUtterances).toBe(0);
    // Nothing of it is left in the queue either.
    expect((await client.say(speak([3]))).done.text).toBe(spoken([3]));
  });

  it('4: discards audio between final and done', async () => {
    await begun();
    client.append(speak([1]));
    client.final();
    client.append(speak([2]));
    expect((await client.transcript()).done.text).toBe(spoken([1]));
    expect((await client.say(speak([3]))).done.text).toBe(spoken([3]));
  });

  it('5: keeps audio after done for the next utterance', async () => {
    await open();
    await client.say(speak([1]));
    client.append(speak([2]));
    expect((await client.say(speak([3]))).done.text).toBe(spoken([2, 3]));
  });

  it.each([
    ['with nothing before it', async () => undefined],
    ['after done', async () => void (await client.say(speak([1])))],
  ])('6: ends the next utterance at once after a stray final %s', async (_, before) => {
    await open();
    await before();
    client.final();
    await client.settled();
    client.start();
    expect((await client.transcript()).done).toEqual({
      type: 'transcription.done',
      text: '',
      usage: { prompt_tokens: 0, completion_tokens: 0, total_tokens: 0 },
    });
    // Its audio is left unread, and the next utterance begins with it and ends with its final.
    client.append(speak([7]));
    client.final();
    await client.settled();
    expect(fake.sessions.at(-1)).toMatchObject({ state: 'idle', queuedBytes: speak([7]).length });
    client.start();
    expect((await client.transcript()).done.text).toBe(spoken([7]));
  });

  it('6: takes no harm from a final repeated before done', async () => {
    await begun();
    client.append(speak([1]));
    client.final();
    client.final();
    expect((await client.transcript()).done.text).toBe(spoken([1]));
    expect((await client.say(speak([2]))).done.text).toBe(spoken([2]));
  });

  it('7: keeps audio that comes after a processing_error, and puts it before the next utterance', async () => {
    fake.faults.arm({ kind: 'processing_error', afterDeltas: 5 });
    await begun();
    client.append(speak([1, 2, 3]));
    expect((await client.next('error')).code).toBe('processing_error');
    client.append(speak([4]));
    await client.settled();
    expect((await client.say(speak([5]))).done.text).toBe(spoken([4, 5]));
  });

  it('7: keeps what came between final and a processing_error, a second final included', async () => {
    fake.faults.arm({ kind: 'processing_error', afterDeltas: 5 });
    await begun();
    client.append(speak([1, 2, 3]));
    client.final();
    client.append(speak([4]));
    client.final();
    await client.next('error');
    client.start();
    expect((await client.transcript()).done.text).toBe(spoken([4]));
  });

  it('8: stays validated after a bad session.update, and takes the empty name', async () => {
    client = new RawClient(fake.url);
    await client.next('session.created');
    client.send({ type: 'session.update', model: '' });
    client.send({ type: 'session.update', model: 'whisper' });
    client.send({ type: 'session.update' });
    expect((await client.say(speak([1]))).done.text).toBe(spoken([1]));
    expect(client.errors).toEqual(['model_not_found', 'invalid_event']);
  });

  it('8: takes any name when it is told not to look', async () => {
    const lax = await start({ skipModelNameValidation: true });
    client = await RawClient.open(lax.url, 'whisper');
    expect((await client.say(speak([1]))).done.text).toBe(spoken([1]));
    expect(client.errors).toEqual([]);
  });

  it('9: answers an utterance without audio with an empty done, or with a junk delta', async () => {
    await open();
    const empty = await client.say(Buffer.alloc(0));
    expect([empty.deltas, empty.done.text, empty.done.usage?.total_tokens]).toEqual([[], '', 0]);
    fake.faults.arm({ kind: 'junk_delta', text: '!' });
    const junk = await client.say(Buffer.alloc(0));
    expect([junk.deltas, junk.done.text, junk.done.usage?.completion_tokens]).toEqual([
      ['!'],
      '!',
      1,
    ]);
  });

  it('10: frees an utterance at once when its socket closes', async () => {
    await begun();
    const other = await RawClient.open(fake.url);
    client.append(speak([1]));
    await client.settled();
    const { utterancesAborted } = fake.counters;
    expect(fake.liveUtterances).toBe(1);
    client.terminate();
    await client.closed;
    await other.settled();
    expect([fake.liveUtterances, fake.counters.utterancesAborted - utterancesAborted]).toEqual([
      0, 1,
    ]);
    expect((await other.say(speak([2]))).done.text).toBe(spoken([2]));
  });

  it('11: holds nothing for a socket between utterances', async () => {
    await open();
    await client.say(speak([1]));
    expect(fake.liveUtterances).toBe(0);
    expect(fake.sessions.at(-1)).toMatchObject({ state: 'idle', queuedBytes: 0 });
    client.start();
    await client.settled();
    expect(fake.sessions.at(-1)?.state).toBe('started');
    client.terminate();
  });
});

describe('errors', () => {
  let fake: FakeVllm;
  let client: RawClient;

  beforeAll(async () => {
    fake = await FakeVllm.start({ maxClipMib: 0.01 });
    client = await RawClient.open(fake.url);
    client.start();
  });
  afterAll(() => fake.close());

  const append = (audio: unknown): string =>
    JSON.stringify({ type: 'input_audio_buffer.append', audio });

  it.each([
    ['half an object', 'invalid_json', '{'],
    ['a word', 'invalid_json', 'append'],
    ['no model', 'invalid_event', '{"type":"session.update"}'],
    [
      'the model where OpenAI has it',
      'invalid_event',
      '{"type":"session.update","session":{"model":"x"}}',
    ],
    ['another model', 'model_not_found', '{"type":"session.update","model":"x"}'],
    ['an odd number of bytes', 'invalid_audio', append(Buffer.alloc(641).toString('base64'))],
    ['base64 without its padding', 'invalid_audio', append('AAA')],
    ['no samples', 'invalid_audio', append('')],
    ['a sample too many', 'invalid_audio', append(Buffer.alloc(2 * 10_486).toString('base64'))],
    ['audio that is a number', 'invalid_audio', append(5)],
    ['a type of another dialect', 'unknown_event', '{"type":"session.create"}'],
    ['no type', 'unknown_event', '{}'],
    ['no audio', 'processing_error', '{"type":"input_audio_buffer.append"}'],
    ['a list', 'processing_error', '[]'],
    [
      'final that is no boolean',
      'processing_error',
      '{"type":"input_audio_buffer.commit","final":"perhaps"}',
    ],
  ])('are for %s a string with code %s, and the utterance goes on', async (_, code, text) => {
    const before = client.received.length;
    client.socket.send(text);
    await client.settled();
    expect(client.received.slice(before)).toEqual([
      { type: 'error', error: expect.any(String), code },
      expect.objectContaining({ code: 'unknown_event' }),
    ]);
    expect(fake.sessions[0]).toMatchObject({ state: 'started', samples: 0 });
  });

  it.each([[{ final: true }], [{ final: false }], [{ final: 'perhaps' }], [{}]])(
    'refuses commit %j before a good session.update with model_not_validated',
    async (fields) => {
      const fresh = new RawClient(fake.url);
      await fresh.next('session.created');
      fresh.send({ type: 'input_audio_buffer.commit', ...fields });
      expect((await fresh.next('error')).code).toBe('model_not_validated');
      fresh.terminate();
    },
  );

  it('closes with 1000 and without an error on a binary frame', async () => {
    const fresh = await RawClient.open(fake.url);
    await fresh.settled();
    fresh.socket.send(Buffer.from('{}'));
    expect(await fresh.closed).toEqual({ code: 1000, reason: '' });
    expect(fresh.errors).toEqual([]);
  });

  it('takes a message of 16 MiB and closes with 1009 on a larger one', async () => {
    const roomy = await start();
    const fresh = await RawClient.open(roomy.url);
    const text = append(Buffer.alloc(12 * 2 ** 20 - 600).toString('base64'));
    fresh.socket.send(text.padEnd(VLLM_MAX_FRAME_BYTES));
    await fresh.settled();
    expect([roomy.counters.appends, fresh.errors]).toEqual([1, []]);
    fresh.socket.send(text.padEnd(VLLM_MAX_FRAME_BYTES + 1));
    expect((await fresh.closed).code).toBe(1009);
  });
});

describe('the number of deltas', () => {
  /** As measured on vLLM itself, for T ms of audio. */
  const expected = (samples: number): number => Math.floor((samples + 12_760) / 1_280) + 1;

  it.each([
    [480, 17],
    [80, 12],
    [160, 13],
    [2_400, 41],
  ])(
    'follows the formula for any audio at a delay of %i ms, of which %i come after final',
    async (delayMs, last) => {
      const fake = await start({ delayMs });
      const samples = fc.oneof(
        fc.integer({ min: 40, max: 3_000 }),
        fc.integer({ min: 40, max: 320_000 }),
        // Where a frame is just or just not complete.
        fc
          .tuple(fc.integer({ min: 1, max: 200 }), fc.integer({ min: -2, max: 2 }))
          .map(([frames, more]) => frames * 1_280 + 40 + more),
      );
      const client = await RawClient.open(fake.url);
      await fc.assert(
        fc.asyncProperty(samples, async (count) => {
          const { deltas, done } = await client.say(Buffer.alloc(count * 2));
          expect([count, deltas.length]).toEqual([count, expected(count)]);
          const prompt = 33 + delayMs / 80;
          expect(done.usage).toEqual({
            prompt_tokens: prompt,
            completion_tokens: deltas.length,
            total_tokens: prompt + deltas.length,
          });
        }),
        { numRuns: 25 },
      );
      // Everything that can come before final is there, then the padding.
      client.start();
      client.append(silence(5_000));
      const frames = Math.floor((80_000 - 40) / 1_280) - delayMs / 80;
      for (let count = 0; count < frames; count += 1) await client.next('transcription.delta');
      await client.settled();
      client.final();
      expect((await client.transcript()).deltas).toHaveLength(last);
    },
  );

  it.each([
    [1_000, 23],
    [10_000, 135],
    [2.5, 11],
    [80, 11],
  ])('is for %d ms of audio %i', async (ms, count) => {
    const client = await RawClient.open((await start()).url);
    expect((await client.say(silence(ms))).deltas).toHaveLength(count);
  });

  it.each([[480], [80], [960]])(
    'comes to one with %i + 82.5 ms of audio, and to none with a sample less',
    async (delayMs) => {
      const fake = await start({ delayMs });
      const client = await RawClient.open(fake.url);
      client.start();
      client.append(Buffer.alloc((delayMs + 82.5) * 16 * 2 - 2));
      await client.settled();
      expect(fake.sessions[0]).toMatchObject({ state: 'started', deltas: 0 });
      client.append(Buffer.alloc(2));
      await client.next('transcription.delta');
      await client.settled();
      expect(fake.counters.deltas).toBe(1);
    },
  );

  it('refuses to start with a delay that the model does not have', async () => {
    for (const delayMs of [0, 40, 100, -80])
      await expect(FakeVllm.start({ delayMs })).rejects.toThrow('multiple of 80');
  });
});
