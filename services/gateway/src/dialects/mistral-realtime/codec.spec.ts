import { describe, expect, it, jest } from '@jest/globals';
import { VoiceError } from '@voice-fleet/protocol/errors';
import { MISTRAL_CLIENT_TYPES, MistralServerMessage } from '@voice-fleet/protocol/mistral-realtime';
import type { CommitCause, SessionEvent } from '@voice-fleet/protocol/session';
import fc from 'fast-check';
import { MistralCodec } from './codec.ts';

const SESSION = { id: 'sess_1', model: 'm', createdAtS: 1 };
const codec = (): MistralCodec => new MistralCodec('voxtral');
const say = (by: MistralCodec, message: unknown) =>
  by.decode(Buffer.from(JSON.stringify(message)), false);
const append = (bytes: Buffer) => ({ type: 'input_audio.append', audio: bytes.toString('base64') });
/** Parsed by the strict schema of what the server may send. */
const encode = (by: MistralCodec, ...events: SessionEvent[]): MistralServerMessage[] =>
  events
    .flatMap((event) => by.encode(event))
    .map((text) => MistralServerMessage.parse(JSON.parse(text)));
const heard = (...texts: string[]): SessionEvent => ({
  kind: 'heard',
  utteranceId: 'a',
  words: texts.map((text) => ({ text, startSample: 0, endSample: 1 })),
  tail: ' a guess',
});
const over = (cause: CommitCause): SessionEvent[] => [
  { kind: 'committed', utteranceId: 'a', fromSample: 0, toSample: 1, cause },
  {
    kind: 'transcribed',
    utteranceId: 'a',
    text: '',
    words: [],
    usage: { promptTokens: 2, completionTokens: 1 },
  },
];

describe('what a client of Mistral sends', () => {
  it('begins with the model of its address', () => {
    expect(codec().opening).toEqual({ kind: 'listen', options: { model: 'voxtral' } });
    expect(new MistralCodec(undefined).opening).toEqual({ kind: 'listen', options: {} });
  });

  it('is audio in the format of the session', () => {
    const by = codec();
    const pcm = Buffer.from([1, 2, 3, 4]);
    const update = { audio_format: { encoding: 'pcm_mulaw', sample_rate: 16_000 } };
    expect(say(codec(), append(pcm))).toEqual({ kind: 'audio', utteranceId: undefined, pcm });
    expect(say(by, { type: 'session.update', session: update })).toEqual({
      kind: 'listen',
      options: { model: 'voxtral' },
    });
    expect(say(by, append(Buffer.from([0x80])))).toMatchObject({
      pcm: Buffer.from(Int16Array.of(32_124).buffer),
    });
  });

  it.each([
    [{ type: 'input_audio.flush' }, { kind: 'finalize', utteranceId: undefined }],
    [{ type: 'input_audio.end' }, { kind: 'finish' }],
  ])('may be %j', (message, command) => {
    expect(say(codec(), message)).toEqual(command);
  });

  it('asks for a delay until it takes that back', () => {
    const by = codec();
    const update = (target_streaming_delay_ms?: number | null) =>
      say(by, { type: 'session.update', session: { target_streaming_delay_ms } });
    expect(update(240)).toMatchObject({ options: { delayMs: 240 } });
    expect(update()).toMatchObject({ options: { delayMs: 240 } });
    expect(update(null)).toEqual({ kind: 'listen', options: { model: 'voxtral' } });
  });

  it.each([
    [
      { type: 'session.update', session: { audio_format: { encoding: 'opus', sample_rate: 1 } } },
      'audio_format',
    ],
    [{ type: 'input_audio.append' }, 'audio'],
    [{ type: 'input_audio.append', audio: '?' }, 'base64'],
    [append(Buffer.alloc(262_145)), 'too large'],
    [{ type: 'toString' }, 'Known types'],
    [[], 'message'],
  ])('is refused as %#, with what is wrong', (message, hint) => {
    expect(() => say(codec(), message)).toThrow(hint);
  });

  it('costs no filter for a format without audio, however often it changes', () => {
    const by = codec();
    // Each tap of a filter is one.
    const sines = jest.spyOn(Math, 'sin');
    for (const sample_rate of [191_997, 191_998, 191_999])
      say(by, {
        type: 'session.update',
        session: { audio_format: { encoding: 'pcm_s16le', sample_rate } },
      });
    expect(sines).not.toHaveBeenCalled();
    say(by, append(Buffer.alloc(64)));
    expect(sines).toHaveBeenCalled();
    sines.mockRestore();
  });

  it('may not change the format amid its audio', () => {
    const by = codec();
    say(by, append(Buffer.alloc(2)));
    expect(() => say(by, { type: 'session.update', session: {} })).toThrow('Open another one');
  });

  it('throws nothing but VoiceError, whatever comes', () => {
    const message = fc.record(
      {
        type: fc.oneof(fc.constantFrom(...MISTRAL_CLIENT_TYPES), fc.jsonValue()),
        session: fc.oneof(
          fc.record({ audio_format: fc.jsonValue(), target_streaming_delay_ms: fc.jsonValue() }),
          fc.jsonValue(),
        ),
        audio: fc.jsonValue(),
      },
      { requiredKeys: [] },
    );
    const by = codec();
    fc.assert(
      fc.property(fc.oneof(message, fc.jsonValue()), fc.boolean(), (value, isBinary) => {
        try {
          expect(by.decode(Buffer.from(JSON.stringify(value)), isBinary)).toHaveProperty('kind');
        } catch (error) {
          expect(error).toBeInstanceOf(VoiceError);
        }
      }),
    );
  });
});

describe('what a client of Mistral is told', () => {
  it('is a whole session at once', () => {
    expect(encode(codec(), { kind: 'created', session: SESSION })).toEqual([
      {
        type: 'session.created',
        session: {
          request_id: 'sess_1',
          model: 'm',
          audio_format: { encoding: 'pcm_s16le', sample_rate: 16_000 },
          target_streaming_delay_ms: null,
        },
      },
    ]);
  });

  it('is the session after each update, and not after what it did not ask for', () => {
    const by = codec();
    const listening = { kind: 'listening', session: SESSION, options: { delayMs: 480 } } as const;
    expect(encode(by, listening)).toEqual([]);
    say(by, { type: 'session.update', session: {} });
    expect(encode(by, listening, listening)).toMatchObject([
      { type: 'session.updated', session: { target_streaming_delay_ms: 480 } },
    ]);
  });

  it('is each word once, and a transcript for each flush', () => {
    const by = codec();
    say(by, append(Buffer.alloc(3_200)));
    const told = encode(by, heard(' one', ' two'), heard(), ...over('client'), heard(' three'));
    expect(told.map(({ type }) => type)).toEqual([
      'transcription.text.delta',
      'transcription.done',
      'transcription.text.delta',
    ]);
    expect(told[1]).toMatchObject({
      model: 'voxtral',
      text: ' one two',
      language: null,
      usage: { prompt_tokens: 2, completion_tokens: 1, total_tokens: 3, prompt_audio_seconds: 1 },
    });
  });

  it('is one transcript of what was cut for its length, and one at the end, even of nothing', () => {
    const by = codec();
    say(by, { type: 'input_audio.end' });
    const events = [heard(' one'), ...over('length'), heard(' two'), ...over('finish')];
    expect(encode(by, ...events, { kind: 'ended' }).slice(2)).toMatchObject([
      { type: 'transcription.done', text: ' one two', usage: { total_tokens: 6 } },
    ]);
    const silent = codec();
    say(silent, { type: 'input_audio.end' });
    expect(encode(silent, { kind: 'ended' })).toMatchObject([{ text: '' }]);
  });

  it('is an error with a number, and nothing of an empty flush', () => {
    const error = (code: 'empty_commit' | 'invalid_message'): SessionEvent => ({
      kind: 'error',
      error: new VoiceError(code),
    });
    expect(encode(codec(), error('empty_commit'), error('invalid_message'))).toMatchObject([
      { type: 'error', error: { code: 400 } },
    ]);
  });

  it('is what was heard of an utterance that failed, behind the reason', () => {
    const [committed] = over('client');
    if (committed === undefined) throw new Error('nothing was committed');
    const failed: SessionEvent = {
      kind: 'failed',
      utteranceId: 'a',
      error: new VoiceError('engine_failed'),
    };
    expect(encode(codec(), heard(' one'), committed, failed).slice(1)).toMatchObject([
      { type: 'error', error: { code: 502 } },
      { type: 'transcription.done', text: ' one' },
    ]);
  });
});
