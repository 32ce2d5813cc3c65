import { beforeEach, describe, expect, it } from '@jest/globals';
import { type Clock, systemClock } from '@voice-fleet/runtime/clock';
import type { EngineEvent, VoiceState } from '../engine.ts';
import type { ToChild } from './messages.ts';
import { PocketsphinxStream } from './stream.ts';

const STREAM = 7;
const PCM = Buffer.alloc(3_200);
const ONE = { text: 'one', startSample: 0, endSample: 4_000 };
const TWO = { text: ' two', startSample: 4_000, endSample: 8_000 };

let sent: ToChild[];
let closed: number;
let nowMs: number;
let voice: VoiceState;
let stream: PocketsphinxStream;

beforeEach(() => {
  sent = [];
  closed = 0;
  nowMs = 0;
  voice = {};
  const clock: Clock = { ...systemClock, now: () => nowMs };
  stream = new PocketsphinxStream({
    id: STREAM,
    voice,
    clock,
    maxSamples: 16_000,
    send: (message) => sent.push(message),
    onClosed: () => {
      closed += 1;
    },
  });
  stream.replay();
});

async function events(): Promise<EngineEvent[]> {
  const all: EngineEvent[] = [];
  for await (const event of stream.events) all.push(event);
  return all;
}

const decoded = (decodedSamples: number, words = [ONE], tail = ''): void =>
  stream.receive({ kind: 'decoded', stream: STREAM, decodedSamples, words, tail });
const taken = (): void => stream.receive({ kind: 'taken', stream: STREAM });
const kinds = (): string[] => sent.map((message) => message.kind);

describe('PocketsphinxStream', () => {
  it('settles a write when the child has taken it', async () => {
    const write = stream.write(PCM);
    taken();
    await write;
    expect(kinds()).toEqual(['open', 'write']);
  });

  it('reports words, then usage, and remembers the voice', async () => {
    void stream.write(PCM);
    decoded(1_600, [ONE], ' to');
    decoded(3_200, [], ' to');
    taken();
    stream.finish();
    decoded(3_200, [TWO]);
    stream.receive({ kind: 'ended', stream: STREAM, mean: [1, 2] });
    expect(await events()).toEqual([
      { kind: 'words', words: [ONE], tail: ' to' },
      { kind: 'words', words: [TWO], tail: '' },
      { kind: 'end', promptTokens: 2, completionTokens: 2 },
    ]);
    expect(voice.value).toEqual([1, 2]);
    expect(closed).toBe(1);
  });

  it('tells a fresh child everything, and where its listener is', async () => {
    const first = stream.write(PCM);
    decoded(1_600);
    taken();
    await first;
    const second = stream.write(PCM);
    stream.finish();
    sent.length = 0;
    stream.onDown('killed');
    stream.replay();
    expect(kinds()).toEqual(['open', 'write', 'write', 'finish']);
    expect(sent[0]).toMatchObject({ resume: { lastWord: ONE, decodedSamples: 1_600 } });
    taken();
    const settled = await Promise.race([second.then(() => true), Promise.resolve(false)]);
    expect(settled).toBe(false);
    taken();
    await second;
  });

  it('hides what a fresh child says again', async () => {
    void stream.write(PCM);
    decoded(3_200, [ONE], ' two');
    stream.replay();
    decoded(1_600, [], 'on');
    decoded(4_800, [TWO], '');
    stream.abort();
    expect(await events()).toEqual([
      { kind: 'words', words: [ONE], tail: ' two' },
      { kind: 'words', words: [TWO], tail: '' },
    ]);
  });

  it('is given up after three restarts', async () => {
    const write = stream.write(PCM);
    for (let death = 0; death < 4; death++) stream.onDown('SIGSEGV');
    await expect(write).rejects.toThrow('4 times on one segment: SIGSEGV');
    await expect(events()).rejects.toThrow('4 times');
    await expect(stream.write(PCM)).rejects.toThrow('4 times');
  });

  it('does not suffer from deaths before its first audio', async () => {
    for (let death = 0; death < 9; death++) stream.onDown('SIGSEGV');
    expect(closed).toBe(0);
  });

  it('is stalled when an answer is owed for too long, but not while it queues for a decoder', () => {
    void stream.write(PCM);
    nowMs = 10_001;
    expect(stream.isStalled).toBe(true);
    stream.receive({ kind: 'queued', stream: STREAM });
    nowMs = 100_000;
    expect(stream.isStalled).toBe(false);
    stream.receive({ kind: 'lent', stream: STREAM });
    expect(stream.isStalled).toBe(false);
    nowMs = 120_000;
    expect(stream.isStalled).toBe(true);
    taken();
    nowMs = 140_000;
    expect(stream.isStalled).toBe(false);
  });

  it('settles the open write and ends without `end` when aborted', async () => {
    const write = stream.write(PCM);
    stream.abort();
    stream.abort();
    await write;
    await stream.write(PCM);
    expect(await events()).toEqual([]);
    expect(kinds()).toEqual(['open', 'write', 'abort']);
    expect(closed).toBe(1);
  });

  it('refuses audio past its bound, in two writes at once, or after finish', async () => {
    await expect(stream.write(Buffer.alloc(32_002))).rejects.toThrow('16000 samples at most');
    void stream.write(PCM);
    await expect(stream.write(PCM)).rejects.toThrow('before the last write settled');
    stream.finish();
    await expect(stream.write(PCM)).rejects.toThrow('after finish');
  });
});
