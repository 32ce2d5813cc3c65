import { createHash } from 'node:crypto';
import { describe, expect, it } from '@jest/globals';
import { type DeepgramResults, DeepgramServerMessage } from '@voice-fleet/protocol/deepgram';
import { VoiceError } from '@voice-fleet/protocol/errors';
import type { LinkWord } from '@voice-fleet/protocol/link';
import type { CommitCause, SessionEvent } from '@voice-fleet/protocol/session';
import fc from 'fast-check';
import { DeepgramListenCodec } from './codec.ts';
import { parseListenQuery } from './query.ts';

const SESSION = { id: 'sess_1', model: 'm', createdAtS: 1_700_000_000 };
const USAGE = { promptTokens: 1, completionTokens: 1 };
const RAW = 'encoding=linear16&sample_rate=16000';
const S = 16_000;

const codec = (query = ''): DeepgramListenCodec =>
  new DeepgramListenCodec(parseListenQuery(new URLSearchParams(`${RAW}&${query}`)));
/** Parsed by the strict schema of what the server may send. */
const encode = (by: DeepgramListenCodec, ...events: SessionEvent[]): DeepgramServerMessage[] =>
  events
    .flatMap((event) => by.encode(event))
    .map((text) => DeepgramServerMessage.parse(JSON.parse(text)));
const say = (by: DeepgramListenCodec, value: unknown) =>
  by.decode(Buffer.from(JSON.stringify(value)), false);
const word = (text: string, fromS: number, toS: number, confidence?: number): LinkWord => ({
  text,
  startSample: fromS * S,
  endSample: toS * S,
  ...(confidence !== undefined && { confidence }),
});
const committed = (utteranceId: string, fromS: number, toS: number, cause: CommitCause) =>
  ({ kind: 'committed', utteranceId, fromSample: fromS * S, toSample: toS * S, cause }) as const;
const transcribed = (utteranceId: string, words: LinkWord[]) =>
  ({ kind: 'transcribed', utteranceId, text: '', words, usage: USAGE }) as const;
const heard = (utteranceId: string, words: LinkWord[], tail = '') =>
  ({ kind: 'heard', utteranceId, words, tail }) as const;

describe('what a client of Deepgram sends', () => {
  it('is audio in binary frames, of any cut and rate', () => {
    const by = new DeepgramListenCodec(
      parseListenQuery(new URLSearchParams('encoding=mulaw&sample_rate=16000')),
    );
    expect(by.decode(Buffer.from([0xff, 0x80]), true)).toEqual({
      kind: 'audio',
      utteranceId: undefined,
      pcm: Buffer.from(Int16Array.of(0, 32_124).buffer),
    });
    expect(codec().decode(Buffer.from([1]), true)).toEqual({ kind: 'ignore' });
  });

  it.each([
    [{ type: 'Finalize' }, { kind: 'finalize', utteranceId: undefined }],
    [{ type: 'CloseStream' }, { kind: 'finish' }],
    [{ type: 'KeepAlive' }, { kind: 'ignore' }],
    [{ type: 'Something', of: 'tomorrow' }, { kind: 'ignore' }],
  ])('may be %j', (message, command) => {
    expect(say(codec(), message)).toEqual(command);
  });

  it('ends with an empty frame, too, and with all of its audio', () => {
    expect(codec().decode(Buffer.alloc(0), true)).toEqual({ kind: 'finish' });
    const by = new DeepgramListenCodec(
      parseListenQuery(new URLSearchParams('encoding=mulaw&sample_rate=8000')),
    );
    const first = by.decode(Buffer.alloc(800, 0xff), true);
    const last = say(by, { type: 'CloseStream' });
    expect(last).toMatchObject({
      kind: 'several',
      commands: [{ kind: 'audio' }, { kind: 'finish' }],
    });
    const audio = [first, ...(last.kind === 'several' ? last.commands : [])];
    const bytes = audio.map((one) => (one.kind === 'audio' ? one.pcm.length : 0));
    expect(bytes.reduce((sum, one) => sum + one, 0)).toBe(3_200);
  });

  it.each(['', '{', '[]', '7', '{"type":7}'])('is refused as %j', (text) => {
    expect(() => codec().decode(Buffer.from(text), false)).toThrow(VoiceError);
  });

  it('throws nothing but VoiceError, whatever comes', () => {
    const by = codec();
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 100 }), fc.boolean(), (bytes, isBinary) => {
        try {
          expect(by.decode(Buffer.from(bytes), isBinary)).toHaveProperty('kind');
        } catch (error) {
          expect(error).toBeInstanceOf(VoiceError);
        }
      }),
    );
  });

  it('asks for all it wants in its address', () => {
    const by = codec(
      'model=nova-3&language=en&endpointing=800&utterance_end_ms=1000&no_delay=true',
    );
    expect(by.opening).toEqual({
      kind: 'listen',
      options: {
        model: 'nova-3',
        language: 'en',
        endpointing: { silenceMs: 800 },
        maxUtteranceMs: 30_000,
        quietMs: 1_000,
      },
    });
    expect(codec('endpointing=10&language=multi').opening).toEqual({
      kind: 'listen',
      options: { endpointing: { silenceMs: 500 }, maxUtteranceMs: 30_000 },
    });
  });

  it.each([
    ['sample_rate=16000', 'encoding=linear16'],
    ['encoding=opus', 'linear16, linear32, mulaw, alaw'],
    ['encoding=toString', 'linear16, linear32, mulaw, alaw'],
    ['encoding=linear16&sample_rate=1', 'sample_rate'],
    ['encoding=linear16&sample_rate=abc', 'sample_rate'],
    ['encoding=linear16&sample_rate=16001', 'sample_rate'],
    ['encoding=linear16&channels=9', 'channels'],
    ['encoding=linear16&channels=2&multichannel=true', 'multichannel'],
    ['encoding=linear16&endpointing=soon', 'endpointing'],
  ])('is told what to do instead of %s', (query, hint) => {
    expect(() => parseListenQuery(new URLSearchParams(query))).toThrow(hint);
  });
});

describe('what a client of Deepgram is told', () => {
  it('is each segment as it grows, then whole, and where the next begins', () => {
    const by = codec('interim_results=true&punctuate=true&vad_events=true');
    by.decode(Buffer.alloc(4 * S), true);
    const told = encode(
      by,
      { kind: 'created', session: SESSION },
      { kind: 'speech-began', utteranceId: 'a', sample: 0.3 * S },
      heard('a', [word('The', 0.3, 0.5, 0.5)], ' quick fox'),
      heard('a', [word(' quick', 0.6, 1)]),
      { kind: 'speech-ended', utteranceId: 'a', sample: S },
      committed('a', 0, 1.5, 'endpoint'),
      transcribed('a', [word('The', 0.3, 0.5, 0.5), word(' quick,', 0.6, 1)]),
      { kind: 'quiet', sample: S },
    );
    const results = told.filter((one): one is DeepgramResults => one.type === 'Results');
    expect(told.map(({ type }) => type)).toEqual([
      'SpeechStarted',
      'Results',
      'Results',
      'Results',
      'UtteranceEnd',
    ]);
    expect(results.map((one) => one.channel.alternatives[0]?.transcript)).toEqual([
      'The quick fox',
      'The quick',
      'The quick,',
    ]);
    expect(results[0]?.channel.alternatives[0]?.words.at(-1)).toMatchObject({
      start: 1.25,
      end: 2,
    });
    expect(results[2]).toMatchObject({
      ...{ start: 0, duration: 1.5, is_final: true, speech_final: true, from_finalize: false },
      channel: {
        alternatives: [
          {
            confidence: 0.75,
            words: [
              { word: 'the', start: 0.3, end: 0.5, confidence: 0.5, punctuated_word: 'The' },
              { word: 'quick', start: 0.6, end: 1, confidence: 1, punctuated_word: 'quick,' },
            ],
          },
        ],
      },
      metadata: { model_info: { name: 'm' } },
    });
    expect(told.at(-1)).toMatchObject({ last_word_end: 1 });
  });

  it('is finals alone, in plain words, where no more is asked for', () => {
    const by = codec();
    const told = encode(
      by,
      { kind: 'speech-began', utteranceId: 'a', sample: 0 },
      heard('a', [word(' The', 0, 1)], 'x'),
      committed('a', 0, 2, 'client'),
      transcribed('a', [word(' The', 0, 1), word(' fox’s!', 1, 2), word(' —', 2, 2)]),
    );
    expect(told).toMatchObject([
      {
        is_final: true,
        speech_final: false,
        from_finalize: true,
        channel: { alternatives: [{ transcript: 'the fox’s' }] },
      },
    ]);
  });

  it('tiles the stream with finals, also where an utterance comes to nothing', () => {
    const by = codec('endpointing=false');
    const told = encode(
      by,
      committed('a', 0, 1, 'endpoint'),
      heard('b', [word(' half', 1.2, 1.4)]),
      transcribed('a', []),
      committed('b', 1, 3, 'length'),
      { kind: 'failed', utteranceId: 'b', error: new VoiceError('engine_failed') },
      committed('c', 3, 3.5, 'finish'),
      transcribed('c', []),
    ) as DeepgramResults[];
    expect(
      told.map(({ start, duration, speech_final }) => [start, duration, speech_final]),
    ).toEqual([
      [0, 1, false],
      [1, 2, false],
      [3, 0.5, false],
    ]);
    expect(told[1]?.channel.alternatives[0]?.transcript).toBe('half');
  });

  it('is an empty final when it finalizes nothing', () => {
    const [told] = encode(codec(), { kind: 'error', error: new VoiceError('empty_commit') });
    expect(told).toMatchObject({
      type: 'Results',
      is_final: true,
      from_finalize: true,
      duration: 0,
    });
  });

  it('is marked as finalized when no audio is left, and its last results are on their way', () => {
    const by = codec();
    const told = encode(
      by,
      committed('a', 0, 1, 'endpoint'),
      { kind: 'error', error: new VoiceError('empty_commit') },
      transcribed('a', [word(' He', 0, 0.5), word('llo', 0.5, 1)]),
    );
    expect(told).toMatchObject([
      {
        speech_final: true,
        from_finalize: true,
        channel: { alternatives: [{ words: [{ word: 'hello', start: 0, end: 1 }] }] },
      },
    ]);
  });

  it('ends with metadata of all its audio', () => {
    const by = codec();
    const audio = Buffer.from(Array.from({ length: 3 * S }, (_, at) => at & 0xff));
    by.decode(audio.subarray(0, 777), true);
    by.decode(audio.subarray(777), true);
    const [metadata] = encode(by, { kind: 'created', session: SESSION }, { kind: 'ended' });
    expect(metadata).toMatchObject({
      type: 'Metadata',
      sha256: createHash('sha256').update(audio).digest('hex'),
      created: '2023-11-14T22:13:20.000Z',
      duration: 1.5,
      channels: 1,
    });
    expect(by.close({ kind: 'ended' })).toEqual({ code: 1000, reason: '' });
  });

  it('is no word of what is the server’s own business', () => {
    const quiet: SessionEvent[] = [
      { kind: 'shutdown', graceMs: 1 },
      { kind: 'warning', limit: 'session_seconds', used: 8, max: 10 },
      {
        kind: 'dropped',
        utteranceId: 'a',
        samples: 1,
        maxBacklogSamples: 2,
        source: 'pending_buffer',
      },
      { kind: 'listening', session: SESSION, options: {} },
      { kind: 'pong' },
    ];
    expect(encode(codec(), ...quiet)).toEqual([]);
  });
});
