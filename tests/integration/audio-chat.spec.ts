import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import type { ReplyChunk, WholeReply } from '@voice-fleet/protocol/chunk';
import { readWav, writeWav } from '@voice-fleet/speech/wav';
import { promptOf } from '@voice-fleet/testkit/fake-openai/fake-audio-chat';
import { tokensOf } from '@voice-fleet/testkit/fake-openai/fake-chat';
import { AudioChatRig, chunksOf, SPEECH, take, tone } from '../support/audio-chat.ts';
import { KEY } from '../support/fleet.ts';
import { quickest } from '../support/quickest.ts';
import { stopwatch } from '../support/stopwatch.ts';
import { until } from '../support/until.ts';

const WORDS = 'one two three four five six seven eight nine ten eleven twelve';
const FALLBACK = "Sorry, I didn't understand that.";

let rig: AudioChatRig;

beforeAll(async () => {
  rig = await AudioChatRig.start({ VOXTRAL_CHAT_CHUNK_TIMEOUT_MS: '60' }, { apiKey: 'up-key' });
});
afterAll(() => rig[Symbol.asyncDispose]());

/** A promise that the test settles. */
function gate(): { opened: Promise<void>; open: () => void } {
  let open = (): void => undefined;
  const opened = new Promise<void>((resolve) => {
    open = resolve;
  });
  return { opened, open };
}

/** Tokens before a gate, and behind it. */
async function* gated(
  before: string,
  opened: Promise<void>,
  after: string,
): AsyncGenerator<string> {
  yield* tokensOf(before);
  await opened;
  yield* tokensOf(after);
}

function say(text: string): void {
  rig.chat.next({ tokens: tokensOf(text) });
}

function expectWellFormed(chunks: readonly ReplyChunk[]): void {
  expect(chunks.map((chunk) => chunk.chunk_index)).toEqual(chunks.map((_, index) => index));
  expect(chunks.map((chunk) => chunk.is_final)).toEqual(
    chunks.map((_, index) => index === chunks.length - 1),
  );
  const times = chunks.map((chunk) => chunk.processing_time_ms);
  expect(times).toEqual([...times].sort((a, b) => a - b));
}

function joined(chunks: readonly ReplyChunk[]): string {
  return chunks.map((chunk) => chunk.text).join('');
}

describe('POST /v1/audio/chat: a reply', () => {
  it('C1, C3, C5: comes in numbered chunks with all fields, which are its text', async () => {
    say(WORDS);
    const response = await rig.post();
    expect(response.headers.get('content-type')).toMatch(/^text\/event-stream/);
    expect(response.headers.get('cache-control')).toBe('no-store');
    const chunks = await take(chunksOf(response));
    expectWellFormed(chunks);
    expect(joined(chunks)).toBe(WORDS);
    for (const chunk of chunks)
      expect(Object.keys(chunk)).toEqual([
        'success',
        'text',
        'is_final',
        'chunk_index',
        'processing_time_ms',
      ]);
  });

  it('C2: has chunks of four words, and of as many as were asked for', async () => {
    const sizes = (chunks: readonly ReplyChunk[]): number[] =>
      chunks.map((chunk) => chunk.text.trim().split(/\s+/).length);
    say(WORDS);
    expect(sizes(await rig.chunks())).toEqual([4, 4, 4]);
    say(WORDS);
    expect(sizes(await rig.chunks({ chunk_size_words: 2 }))).toEqual([2, 2, 2, 2, 2, 2]);
    say('It is late, and so we go home now. Good night.');
    for (const size of sizes(await rig.chunks()).slice(0, -1)) {
      expect(size).toBeGreaterThanOrEqual(3);
      expect(size).toBeLessThanOrEqual(5);
    }
  });

  it.each([0, 1, 3, 4, 5, 8, 9])('C4: of %i words has one final chunk, the last', async (count) => {
    const text = WORDS.split(' ').slice(0, count).join(' ');
    say(text);
    const chunks = await rig.chunks();
    expectWellFormed(chunks);
    expect(joined(chunks)).toBe(text);
    expect(chunks.at(-1)).toMatchObject({ success: true, is_final: true });
  });

  it('C6: sends words that wait when the model pauses', async () => {
    const { opened, open } = gate();
    rig.chat.next({ tokens: gated('one two three', opened, ' four') });
    const texts: string[] = [];
    for await (const { text } of rig.stream()) {
      texts.push(text);
      open();
    }
    expect(texts).toEqual(['one two', ' three four']);
  });

  it('C7: begins before the model has ended', async () => {
    const { opened, open } = gate();
    rig.chat.next({ tokens: gated('one two three four five six', opened, ' seven') });
    const chunks: ReplyChunk[] = [];
    for await (const chunk of rig.stream()) {
      chunks.push(chunk);
      if (chunk.chunk_index === 0) {
        expect(rig.chat.last.exchange.response.writableEnded).toBe(false);
        open();
      }
    }
    expect(joined(chunks)).toBe('one two three four five six seven');
  });

  it('C15: goes on beside others, and knows nothing of those before', async () => {
    const first = gate();
    rig.chat.next(
      { tokens: gated('a1 a2 a3 a4 a5 a6', first.opened, ' a7') },
      { tokens: tokensOf('b1 b2 b3') },
    );
    const slow = rig.stream();
    expect((await slow.next()).value).toMatchObject({ text: 'a1 a2 a3 a4' });
    // The second is asked and answered whole while the first hangs.
    expect(joined(await rig.chunks({ file: tone(8_000) }))).toBe('b1 b2 b3');
    first.open();
    expect(joined(await take(slow))).toBe(' a5 a6 a7');
    for (const call of rig.chat.calls) expect(call.messages).toHaveLength(1);
    expect(rig.chat.heard.at(-1)?.pcm).toHaveLength(16_000);
  });
});

describe('POST /v1/audio/chat: what goes to the model', () => {
  it('C16: is the same for PCM16 and floats, and 16 kHz mono of whatever came', async () => {
    const { pcm } = readWav(SPEECH);
    await rig.chunks();
    await rig.chunks({ file: floats(pcm) });
    const [ints, same] = rig.chat.heard.slice(-2);
    expect(ints).toEqual({ sampleRate: 16_000, channels: 1, pcm });
    expect(same).toEqual(ints);
    const stereo = writeWav(Buffer.alloc(4 * 48_000, readWav(tone(480)).pcm), 48_000);
    stereo.writeUInt16LE(2, 22);
    await rig.chunks({ file: stereo });
    expect(rig.chat.heard.at(-1)?.pcm).toHaveLength(2 * 16_000);
  });

  it('C17: asks for a conversation, or for the words', async () => {
    await rig.chunks();
    const conversation = promptOf(rig.chat.last);
    await rig.chunks({ mode: 'conversation' });
    expect(promptOf(rig.chat.last)).toBe(conversation);
    await rig.chunks({ mode: 'transcribe' });
    expect(promptOf(rig.chat.last)).toMatch(/^Transcribe .*word for word/);
    expect(conversation).toMatch(/^Answer/);
  });

  it('C18: has the parameters, by default 50, 0.7 and 0.9', async () => {
    await rig.chunks();
    const defaults = { max_tokens: 50, temperature: 0.7, top_p: 0.9, stream: true };
    expect(rig.chat.last.body).toMatchObject({
      ...defaults,
      model: 'mistralai/Voxtral-Mini-3B-2507',
    });
    await rig.chunks({ max_new_tokens: 9, temperature: 0, top_p: 0.5 });
    expect(rig.chat.last.body).toMatchObject({ max_tokens: 9, temperature: 0, top_p: 0.5 });
  });
});

describe('POST /v1/audio/chat: what goes wrong', () => {
  it.each([
    ['a silent file', tone(16_000, 100)],
    ['an empty file', Buffer.alloc(0)],
    ['a file without samples', tone(0)],
  ])('C8: %s is answered with "No speech detected", without the model', async (_, file) => {
    const calls = rig.chat.calls.length;
    expect(await rig.chunks({ file })).toEqual([
      {
        success: false,
        text: '',
        is_final: true,
        chunk_index: 0,
        processing_time_ms: expect.any(Number),
        error: 'No speech detected',
      },
    ]);
    expect(rig.chat.calls).toHaveLength(calls);
  });

  it('C10: what is no audio is one chunk with the reason, and the next request is answered', async () => {
    expect(await rig.chunks({ file: Buffer.from('ID3 this is an MP3, or not') })).toEqual([
      {
        success: false,
        text: '',
        is_final: true,
        chunk_index: 0,
        processing_time_ms: expect.any(Number),
        error: expect.stringMatching(/^Not a WAV file/),
      },
    ]);
    say('fine');
    expect(joined(await rig.chunks())).toBe('fine');
  });

  it.each([
    ['refuses', { kind: 'error', status: 500, message: 'up-key' }, /status 500/],
    ['is busy', { kind: 'error', status: 429 }, /status 429/],
    ['breaks off', { kind: 'cut' }, /amid its reply|cut off/],
    ['sends nonsense', { kind: 'malformed' }, /amid its reply/],
    ['fails amid its reply', { kind: 'error_event', message: 'up-key' }, /amid its reply/],
    ['ends without an end', { kind: 'unfinished' }, /cut off/],
  ] as const)(
    'C11: a model that %s is followed by the fallback text, at once',
    async (_, fault, error) => {
      rig.chat.next({
        tokens: fault.kind === 'error' ? [] : tokensOf('one two three four five six'),
        fault,
      });
      const took = stopwatch();
      const chunks = await rig.chunks();
      const tookMs = took();
      expectWellFormed(chunks);
      const last = chunks.at(-1);
      expect(last).toMatchObject({ success: false, text: FALLBACK });
      expect(last?.error).toMatch(error);
      expect(tookMs).toBeLessThan(1_000);
      if (fault.kind !== 'error')
        expect(joined(chunks.slice(0, -1))).toBe('one two three four five six');
      expect(JSON.stringify(chunks)).not.toContain('up-key');
    },
  );

  it('C14: a client that leaves stops the model within 100 ms', async () => {
    const stopMs = await quickest(100, async () => {
      rig.chat.next({ tokens: tokensOf('one two three four five six'), fault: { kind: 'stall' } });
      const client = new AbortController();
      const stream = rig.stream({}, { signal: client.signal });
      await stream.next();
      const { exchange } = rig.chat.last;
      expect(exchange.abortedMs).toBeUndefined();
      const leftMs = performance.now();
      client.abort();
      await exchange.closed;
      await expect(stream.next()).rejects.toThrow();
      return (exchange.abortedMs ?? Number.POSITIVE_INFINITY) - leftMs;
    });
    expect(stopMs).toBeLessThan(100);
    await until(
      async () => /audio_replies_active 0/.test(await rig.metrics()),
      'its place is free',
    );
  });

  it('C14: also one that leaves before the first word', async () => {
    const stopMs = await quickest(100, async () => {
      rig.chat.next({ tokens: [], fault: { kind: 'silent', headers: false } });
      const calls = rig.chat.calls.length;
      const client = new AbortController();
      const posted = rig.post({}, { signal: client.signal }).then((response) => response.text());
      await until(() => rig.chat.calls.length > calls, 'the model is asked');
      const leftMs = performance.now();
      client.abort();
      await expect(posted).rejects.toThrow();
      const { exchange } = rig.chat.last;
      await exchange.closed;
      return (exchange.abortedMs ?? Number.POSITIVE_INFINITY) - leftMs;
    });
    expect(stopMs).toBeLessThan(100);
  });
});

describe('POST /v1/audio/chat: the whole reply', () => {
  it.each([
    ['with Accept: application/json', {}, { accept: 'application/json' }],
    ['with stream=false', { stream: 'false' }, {}],
  ])('C19: comes at once %s', async (_, form, headers) => {
    say(WORDS);
    const response = await rig.post(form, { headers: { 'x-api-key': KEY, ...headers } });
    expect(response.headers.get('content-type')).toBe('application/json');
    const whole = (await response.json()) as WholeReply;
    expect(whole).toMatchObject({ success: true, text: WORDS });
    expectWellFormed(whole.chunks);
    expect(whole.processing_time_ms).toBe(whole.chunks.at(-1)?.processing_time_ms);
  });

  it('C19: tells of a failure in the same form', async () => {
    rig.chat.next({ tokens: [], fault: { kind: 'error', status: 503 } });
    const whole = (await (await rig.post({ stream: 'false' })).json()) as WholeReply;
    expect(whole).toMatchObject({
      success: false,
      text: FALLBACK,
      error: 'The chat model answered with status 503.',
    });
  });

  it('C19: is a stream all the same for those who ask for one', async () => {
    const headers = { 'x-api-key': KEY, accept: 'application/json' };
    say('fine');
    const chunks = await take(chunksOf(await rig.post({ stream: 'true' }, { headers })));
    expect(joined(chunks)).toBe('fine');
  });
});

describe('POST /v1/audio/chat: what is told of it', () => {
  it('C20: how long the first words took, beside what is aimed at', async () => {
    const count = async (): Promise<number> =>
      Number(/audio_reply_first_chunk_seconds_count (\d+)/.exec(await rig.metrics())?.[1]);
    const before = await count();
    rig.logged.length = 0;
    say('fine thank you');
    await rig.chunks();
    expect(await count()).toBe(before + 1);
    expect(await rig.metrics()).toMatch(/audio_replies_total\{outcome="replied"\} [1-9]/);
    const line = rig.logged.find(({ event }) => event === 'audio_reply');
    expect(line).toMatchObject({
      outcome: 'replied',
      firstChunkMs: expect.any(Number),
      targetFirstChunkMs: 100,
      targetTotalMs: 500,
    });
    const { firstChunkMs, totalMs } = line as unknown as Record<string, number>;
    console.info(`first chunk ${firstChunkMs} ms (aimed at 100), whole reply ${totalMs} ms (500)`);
  });

  it('and neither words nor keys', async () => {
    rig.logged.length = 0;
    say('Xylophone');
    await rig.chunks();
    rig.chat.next({ tokens: [], fault: { kind: 'error', status: 500, message: 'Xylophone' } });
    await rig.chunks();
    expect(rig.logged.length).toBeGreaterThan(1);
    expect(JSON.stringify(rig.logged)).not.toMatch(/Xylophone|up-key|test-key|UklGR/);
  });
});

/** A float32 file of the same samples. */
function floats(pcm: Buffer): Buffer {
  const data = Buffer.alloc(2 * pcm.length);
  for (let at = 0; at < pcm.length; at += 2)
    data.writeFloatLE(pcm.readInt16LE(at) / 32_768, 2 * at);
  const file = Buffer.concat([writeWav(Buffer.alloc(0), 16_000), data]);
  file.writeUInt16LE(3, 20);
  file.writeUInt16LE(32, 34);
  file.writeUInt32LE(data.length, 40);
  file.writeUInt32LE(file.length - 8, 4);
  return file;
}
