import { describe, expect, it } from '@jest/globals';
import { ReplyChunk, ReplyOptions } from '@voice-fleet/protocol/chunk';
import { FakeClock } from '@voice-fleet/testkit/fake-clock';
import fc from 'fast-check';
import { audioReply, FALLBACK_TEXT, NO_SPEECH, type ReplyReport } from './audio-reply.ts';
import { ChatFault } from './chat-engine.ts';
import { ScriptedEngine } from './scripted-engine.fixture.ts';
import type { Sound } from './sound.ts';

const SPEECH: Sound = { kind: 'speech', wav: Buffer.from('RIFF'), durationMs: 1_000 };
const WORDS = ['one', 'two', 'three', 'four', 'five', 'six', 'seven', 'eight', 'nine', 'ten'];

/** A reply under way. */
class Rig {
  readonly clock = new FakeClock();
  readonly engine = new ScriptedEngine();
  readonly caller = new AbortController();
  readonly reports: ReplyReport[] = [];
  readonly chunks: AsyncGenerator<ReplyChunk>;

  constructor(
    given: { sound?: Sound; options?: object; timeoutMs?: number; beganMs?: number } = {},
  ) {
    this.chunks = audioReply(
      {
        sound: given.sound ?? SPEECH,
        options: ReplyOptions.parse(given.options ?? {}),
        beganMs: given.beganMs ?? 0,
      },
      this.engine,
      this.clock,
      {
        timeoutMs: given.timeoutMs ?? 60_000,
        chunkTimeoutMs: 200,
        onEnd: (report) => this.reports.push(report),
      },
      this.caller.signal,
    );
  }

  async next(): Promise<ReplyChunk | undefined> {
    const { value, done } = await this.chunks.next();
    return done ? undefined : ReplyChunk.parse(value);
  }

  /** All that is left. */
  async rest(): Promise<ReplyChunk[]> {
    const chunks: ReplyChunk[] = [];
    for await (const chunk of this.chunks) chunks.push(ReplyChunk.parse(chunk));
    return chunks;
  }
}

/** Lets everything run that is not waiting for the clock. */
function settled(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
}

function expectWellFormed(chunks: readonly ReplyChunk[]): void {
  expect(chunks.map((chunk) => chunk.chunk_index)).toEqual(chunks.map((_, index) => index));
  expect(chunks.map((chunk) => chunk.is_final)).toEqual(
    chunks.map((_, index) => index === chunks.length - 1),
  );
  const times = chunks.map((chunk) => chunk.processing_time_ms);
  expect(times).toEqual([...times].sort((a, b) => a - b));
}

describe('audioReply', () => {
  it.each([
    [0, ['']],
    [1, ['one']],
    [3, ['one two three']],
    [4, ['one two three four']],
    // One word more than a chunk has makes no chunk of its own.
    [5, ['one two three four five']],
    [8, ['one two three four', ' five six seven eight']],
    [9, ['one two three four', ' five six seven eight nine']],
    [10, ['one two three four', ' five six seven eight', ' nine ten']],
  ])('C2, C4: %i words have one final chunk, the last', async (count, texts) => {
    const rig = new Rig();
    rig.engine.say(...WORDS.slice(0, count).map((word, at) => (at ? ` ${word}` : word))).end();
    const chunks = await rig.rest();
    expect(chunks.map((chunk) => chunk.text)).toEqual(texts);
    expectWellFormed(chunks);
    expect(chunks.every((chunk) => chunk.success)).toBe(true);
    expect(rig.reports).toMatchObject([{ outcome: 'replied', chunks: texts.length }]);
  });

  it('C4: eight words in one token are cut as those that come singly', async () => {
    const rig = new Rig();
    rig.engine.say('one two three four five six seven eight').end();
    expect((await rig.rest()).map((chunk) => chunk.text)).toEqual([
      'one two three four',
      ' five six seven eight',
    ]);
  });

  it('C2: takes another size, and ends a chunk where a clause does', async () => {
    const pairs = new Rig({ options: { chunk_size_words: 2 } });
    pairs.engine.say('one two three').end();
    expect((await pairs.rest()).map(({ text }) => text)).toEqual(['one two', ' three']);
    const clauses = new Rig();
    clauses.engine.say('Well then, yes. It is five of the clock.').end();
    const [first] = await clauses.rest();
    expect(first?.text).toBe('Well then, yes.');
  });

  it('C1, C3, C5: any reply in any tokens comes whole, in order and well formed', async () => {
    const words = fc.array(fc.stringMatching(/^[a-z]{1,6}[,.!?]?$/), { maxLength: 30 });
    await fc.assert(
      fc.asyncProperty(
        words,
        fc.infiniteStream(fc.integer({ min: 1, max: 9 })),
        fc.integer({ min: 1, max: 8 }),
        async (list, sizes, size) => {
          const rig = new Rig({ options: { chunk_size_words: size } });
          const text = list.join(' ');
          for (let at = 0; at < text.length; ) {
            const length = sizes.next().value as number;
            rig.engine.say(text.slice(at, at + length));
            at += length;
          }
          rig.engine.end();
          const chunks = await rig.rest();
          expectWellFormed(chunks);
          expect(chunks.map((chunk) => chunk.text).join('')).toBe(text);
          for (const chunk of chunks) {
            const own = chunk.text.split(/\s+/).filter((word) => word !== '');
            expect(list).toEqual(expect.arrayContaining(own));
            expect(own.length).toBeLessThanOrEqual(size + 1);
          }
        },
      ),
      { numRuns: 60 },
    );
  });

  it('C6: words that wait go out when no token comes', async () => {
    const rig = new Rig();
    const first = rig.next();
    rig.engine.say('one', ' two', ' thr');
    await settled();
    rig.clock.advance(199);
    await settled();
    rig.clock.advance(1);
    expect(await first).toMatchObject({
      text: 'one two',
      is_final: false,
      processing_time_ms: 200,
    });
    // The last word may go on, so it was kept.
    rig.engine.say('ee').end();
    expect(await rig.rest()).toMatchObject([{ text: ' three', chunk_index: 1, is_final: true }]);
  });

  it('C7: the first chunk leaves before the reply is whole, and nothing is read ahead', async () => {
    const rig = new Rig();
    rig.engine.say('one', ' two', ' three', ' four', ' five', ' six');
    expect(await rig.next()).toMatchObject({ text: 'one two three four', is_final: false });
    await settled();
    expect(rig.engine.asked).toBe(6);
    rig.engine.end();
    expect(await rig.rest()).toMatchObject([{ text: ' five six', is_final: true }]);
  });

  it('C8: silence is answered without the model', async () => {
    const rig = new Rig({ sound: { kind: 'silence' } });
    rig.clock.advance(3);
    expect(await rig.rest()).toEqual([
      {
        success: false,
        text: '',
        is_final: true,
        chunk_index: 0,
        processing_time_ms: 3,
        error: NO_SPEECH,
      },
    ]);
    expect(rig.engine.tasks).toEqual([]);
    expect(rig.reports).toMatchObject([{ outcome: 'no_speech' }]);
  });

  it('C10: audio that cannot be decoded is one chunk with the reason', async () => {
    const rig = new Rig({ sound: { kind: 'undecodable', reason: 'Not a WAV file.' } });
    expect(await rig.rest()).toMatchObject([
      { success: false, is_final: true, chunk_index: 0, error: 'Not a WAV file.' },
    ]);
    expect(rig.reports).toMatchObject([{ outcome: 'undecodable' }]);
  });

  it('C11: a failure before any word is the fallback text, at once', async () => {
    const rig = new Rig();
    rig.engine.fail(new ChatFault('The chat model answered with status 500.'));
    expect(await rig.rest()).toEqual([
      {
        success: false,
        text: FALLBACK_TEXT,
        is_final: true,
        chunk_index: 0,
        processing_time_ms: 0,
        error: 'The chat model answered with status 500.',
      },
    ]);
    expect(rig.reports).toMatchObject([{ outcome: 'failed', chunks: 1 }]);
    expect(rig.reports[0]?.firstChunkMs).toBeUndefined();
  });

  it('C11: after words it follows them, what waited first, and counts on', async () => {
    const rig = new Rig();
    rig.engine.say('one two three four five six ').fail(new Error('secret address'));
    const chunks = await rig.rest();
    expectWellFormed(chunks);
    expect(chunks.map(({ text, success }) => [text, success])).toEqual([
      ['one two three four', true],
      [' five six ', true],
      [FALLBACK_TEXT, false],
    ]);
    expect(chunks[2]?.error).toBe('The reply could not be made.');
  });

  it('a model that talks without end is stopped, and told of as one that failed', async () => {
    const rig = new Rig();
    rig.engine.say(...Array<string>(70).fill('x'.repeat(1_000)));
    const chunks = await rig.rest();
    expect(chunks.at(-1)).toMatchObject({ success: false, text: FALLBACK_TEXT, is_final: true });
    expect(rig.engine.asked).toBe(66);
    expect(rig.engine.signal?.aborted).toBe(true);
    expect(rig.reports).toMatchObject([{ outcome: 'failed' }]);
  });

  it('C12: a model that says nothing more is given up, even if it heeds no signal', async () => {
    const rig = new Rig({ timeoutMs: 5_000, beganMs: -1_000 });
    rig.engine.say('one two');
    const rest = rig.rest();
    await settled();
    rig.clock.advance(200);
    await settled();
    rig.clock.advance(3_799);
    await settled();
    expect(rig.reports).toEqual([]);
    rig.clock.advance(1);
    const chunks = await rest;
    expectWellFormed(chunks);
    expect(chunks.map((chunk) => chunk.text)).toEqual(['one', ' two', FALLBACK_TEXT]);
    expect(chunks[2]).toMatchObject({
      error: 'The reply took too long.',
      processing_time_ms: 5_000,
    });
    expect(rig.engine.signal?.aborted).toBe(true);
    expect(rig.engine.returned).toBe(true);
    expect(rig.reports).toMatchObject([{ outcome: 'timed_out' }]);
    expect(rig.clock.pending).toBe(0);
  });

  it('C14: whoever leaves stops the model, and gets no chunk more', async () => {
    const rig = new Rig();
    rig.engine.say('one two three four five six');
    await rig.next();
    const waiting = rig.next();
    await settled();
    expect(rig.engine.signal?.aborted).toBe(false);
    rig.caller.abort(new Error('gone'));
    expect(await waiting).toBeUndefined();
    expect(rig.engine.signal?.aborted).toBe(true);
    expect(rig.engine.returned).toBe(true);
    expect(rig.reports).toMatchObject([{ outcome: 'aborted', chunks: 1 }]);
    expect(rig.clock.pending).toBe(0);
  });

  it('C14: one that had left before is not answered', async () => {
    const rig = new Rig();
    rig.caller.abort(new Error('gone'));
    expect(await rig.rest()).toEqual([]);
    expect(rig.clock.pending).toBe(0);
  });

  it('C14: a reader that stops between chunks stops the model too', async () => {
    const rig = new Rig();
    rig.engine.say('one two three four five six');
    for await (const chunk of rig.chunks) {
      expect(chunk.chunk_index).toBe(0);
      break;
    }
    expect(rig.engine.signal?.aborted).toBe(true);
    expect(rig.reports).toMatchObject([{ outcome: 'aborted' }]);
    expect(rig.clock.pending).toBe(0);
  });

  it('C17, C18: what was asked for reaches the model, and has its defaults', async () => {
    const plain = new Rig();
    plain.engine.end();
    await plain.rest();
    const own = new Rig({
      options: { mode: 'transcribe', max_new_tokens: '7', temperature: '0.1', top_p: '0.5' },
    });
    own.engine.end();
    await own.rest();
    expect([...plain.engine.tasks, ...own.engine.tasks]).toMatchObject([
      { mode: 'conversation', maxTokens: 50, temperature: 0.7, topP: 0.9 },
      { mode: 'transcribe', maxTokens: 7, temperature: 0.1, topP: 0.5 },
    ]);
  });

  it('C20: tells how long the first words took', async () => {
    const rig = new Rig();
    const rest = rig.rest();
    await settled();
    rig.clock.advance(80);
    rig.engine.say('one two three four five six');
    await settled();
    rig.clock.advance(40);
    rig.engine.end();
    await rest;
    expect(rig.reports).toEqual([
      { outcome: 'replied', chunks: 2, firstChunkMs: 80, totalMs: 120 },
    ]);
  });
});
