import { describe, expect, it } from '@jest/globals';
import { FluxServerMessage, type FluxTurnInfo } from '@voice-fleet/protocol/deepgram-flux';
import { VoiceError } from '@voice-fleet/protocol/errors';
import type { LinkWord } from '@voice-fleet/protocol/link';
import type { CommitCause, SessionEvent } from '@voice-fleet/protocol/session';
import fc from 'fast-check';
import { DeepgramFluxCodec } from './codec.ts';
import { parseFluxQuery } from './query.ts';

const SESSION = { id: 'sess_1', model: 'm', createdAtS: 1_700_000_000 };
const USAGE = { promptTokens: 1, completionTokens: 1 };
const S = 16_000;

const codec = (query = ''): DeepgramFluxCodec =>
  new DeepgramFluxCodec(
    parseFluxQuery(new URLSearchParams(`encoding=linear16&sample_rate=16000&${query}`)),
  );
/** Parsed by the strict schema of what the server may send. */
const encode = (by: DeepgramFluxCodec, ...events: SessionEvent[]): FluxServerMessage[] =>
  events
    .flatMap((event) => by.encode(event))
    .map((text) => FluxServerMessage.parse(JSON.parse(text)));
const turns = (by: DeepgramFluxCodec, ...events: SessionEvent[]): FluxTurnInfo[] =>
  encode(by, ...events).filter((one): one is FluxTurnInfo => one.type === 'TurnInfo');
const brief = ({ event, turn_index, transcript, trigger }: FluxTurnInfo) =>
  [event, turn_index, transcript, ...(trigger ? [trigger] : [])] as const;
const say = (by: DeepgramFluxCodec, value: unknown) =>
  by.decode(Buffer.from(JSON.stringify(value)), false);

const word = (text: string, fromS: number, toS: number): LinkWord => ({
  text,
  startSample: fromS * S,
  endSample: toS * S,
});
const committed = (utteranceId: string, toS: number, cause: CommitCause = 'endpoint') =>
  ({ kind: 'committed', utteranceId, fromSample: 0, toSample: toS * S, cause }) as const;
const transcribed = (utteranceId: string, words: LinkWord[]) =>
  ({ kind: 'transcribed', utteranceId, text: '', words, usage: USAGE }) as const;
const heard = (utteranceId: string, words: LinkWord[], tail = '') =>
  ({ kind: 'heard', utteranceId, words, tail }) as const;
const HELLO = [word('Hello', 0, 0.5), word(' there.', 0.5, 1)];

describe('what a client of Flux sends', () => {
  it('begins with how sure it wants to be that a turn is over', () => {
    expect(codec('model=flux-general-en&keyterm=a').opening).toEqual({
      kind: 'listen',
      options: {
        model: 'flux-general-en',
        endpointing: { silenceMs: 700 },
        maxUtteranceMs: 60_000,
      },
    });
    expect(codec('eot_threshold=1&eot_timeout_ms=3000&language_hint=en-US').opening).toEqual({
      kind: 'listen',
      options: { language: 'en', endpointing: { silenceMs: 3_000 }, maxUtteranceMs: 60_000 },
    });
  });

  it.each([
    [{ type: 'ForceEndTurn' }, { kind: 'finalize', utteranceId: undefined }],
    [{ type: 'CloseStream' }, { kind: 'finish' }],
    [{ type: 'Something', of: 'tomorrow' }, { kind: 'ignore' }],
  ])('may be %j', (message, command) => {
    expect(say(codec(), message)).toEqual(command);
  });

  it.each([
    ['', 'encoding'],
    ['encoding=linear16&eot_threshold=0.2', 'eot_threshold'],
    ['encoding=linear16&eager_eot_threshold=soon', 'eager_eot_threshold'],
    ['encoding=linear16&eot_timeout_ms=1', 'eot_timeout_ms'],
  ])('is refused with what is wrong in %j', (query, hint) => {
    expect(() => parseFluxQuery(new URLSearchParams(query))).toThrow(hint);
  });

  it('may change when turns end, one thing at a time, and is told what holds', () => {
    const by = codec('eot_timeout_ms=4000&keyterm=fleet');
    const listening = { kind: 'listening', session: SESSION, options: {} } as const;
    expect(encode(by, listening)).toEqual([]);
    const command = say(by, { type: 'Configure', thresholds: { eot_threshold: 0.9 } });
    expect(command).toMatchObject({
      kind: 'listen',
      options: { endpointing: { silenceMs: 900 } },
    });
    expect(encode(by, listening, listening)).toMatchObject([
      {
        type: 'ConfigureSuccess',
        thresholds: { eot_threshold: 0.9, eot_timeout_ms: 4_000 },
        keyterms: ['fleet'],
      },
    ]);
  });

  it('goes on when a change is refused', () => {
    const by = codec();
    let error: unknown;
    try {
      say(by, { type: 'Configure', thresholds: { eot_threshold: 7 } });
    } catch (thrown) {
      error = thrown;
    }
    expect(error).toBeInstanceOf(VoiceError);
    expect(encode(by, { kind: 'error', error: error as VoiceError })).toMatchObject([
      { type: 'ConfigureFailure' },
    ]);
  });

  it('throws nothing but VoiceError, whatever comes', () => {
    const by = codec();
    const message = fc.record(
      {
        type: fc.oneof(fc.constantFrom('Configure', 'CloseStream'), fc.jsonValue()),
        thresholds: fc.oneof(fc.record({ eot_threshold: fc.jsonValue() }), fc.jsonValue()),
        keyterms: fc.jsonValue(),
      },
      { requiredKeys: [] },
    );
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

describe('what a client of Flux is told', () => {
  it('is each turn as it grows, all numbered from 0', () => {
    const by = codec();
    by.decode(Buffer.alloc(4 * S), true);
    const told = encode(
      by,
      { kind: 'created', session: SESSION },
      { kind: 'speech-began', utteranceId: 'a', sample: 0 },
      heard('a', [], ' Hel'),
      heard('a', HELLO.slice(0, 1)),
      committed('a', 1.5),
      heard('a', HELLO.slice(1)),
      transcribed('a', HELLO),
      heard('b', [word(' Bye', 1.6, 1.9)]),
    );
    expect(told[0]?.type).toBe('Connected');
    expect(told.map(({ sequence_id }) => sequence_id)).toEqual([0, 1, 2, 3, 4, 5]);
    const infos = told.slice(1) as FluxTurnInfo[];
    expect(infos.map(brief)).toEqual([
      ['StartOfTurn', 0, 'Hel'],
      ['Update', 0, 'Hello'],
      ['Update', 0, 'Hello there.'],
      ['EndOfTurn', 0, 'Hello there.', 'model'],
      ['StartOfTurn', 1, 'Bye'],
    ]);
    expect(infos.every(({ words }) => words.length > 0)).toBe(true);
    expect(infos[3]).toMatchObject({
      audio_window_start: 0,
      audio_window_end: 1.5,
      end_of_turn_confidence: 1,
      words: [
        { word: 'Hello', start: 0, end: 0.5, confidence: 1 },
        { word: 'there.', start: 0.5, end: 1, confidence: 1 },
      ],
    });
    expect(infos[4]?.audio_window_start).toBe(1.5);
  });

  it('is an early end, if it asks for that, and one text for both ends', () => {
    const by = codec('eager_eot_threshold=0.4');
    const told = turns(by, heard('a', HELLO), committed('a', 2), transcribed('a', HELLO));
    expect(told.map(brief)).toEqual([
      ['StartOfTurn', 0, 'Hello there.'],
      ['EagerEndOfTurn', 0, 'Hello there.'],
      ['EndOfTurn', 0, 'Hello there.', 'model'],
    ]);
    expect(told[1]?.end_of_turn_confidence).toBe(0.4);
  });

  it('is that the turn goes on, when its last words came after the early end', () => {
    const told = turns(
      codec('eager_eot_threshold=0.4'),
      heard('a', HELLO.slice(0, 1)),
      committed('a', 2),
      heard('a', HELLO.slice(1)),
      transcribed('a', HELLO),
    );
    expect(told.map(brief)).toEqual([
      ['StartOfTurn', 0, 'Hello'],
      ['EagerEndOfTurn', 0, 'Hello'],
      ['TurnResumed', 0, 'Hello there.'],
      ['EndOfTurn', 0, 'Hello there.', 'model'],
    ]);
  });

  it.each([
    ['client', '', 'manual'],
    ['finish', '', 'manual'],
    ['length', '', 'timeout'],
    ['endpoint', 'eot_threshold=1', 'timeout'],
    ['endpoint', '', 'model'],
  ] as const)('is why a turn has ended: %s %s', (cause, query, trigger) => {
    const told = turns(codec(query), committed('a', 2, cause), transcribed('a', HELLO));
    expect(told.map(brief)).toEqual([
      ['StartOfTurn', 0, 'Hello there.'],
      ['EndOfTurn', 0, 'Hello there.', trigger],
    ]);
  });

  it('is nothing of a turn in which nothing was said, and the end of one that fails', () => {
    const by = codec('eager_eot_threshold=0.4');
    expect(encode(by, heard('a', []), committed('a', 1), transcribed('a', []))).toEqual([]);
    const error = new VoiceError('engine_failed');
    const told = turns(by, heard('b', HELLO), { kind: 'failed', utteranceId: 'b', error });
    expect(told.map(brief).at(-1)).toEqual(['EndOfTurn', 0, 'Hello there.', 'model']);
    expect(encode(by, { kind: 'failed', utteranceId: 'c', error })).toEqual([]);
  });

  it('is an error for a mistake alone', () => {
    const by = codec();
    const quiet: SessionEvent[] = [
      { kind: 'error', error: new VoiceError('empty_commit') },
      { kind: 'shutdown', graceMs: 1 },
      { kind: 'ended' },
    ];
    expect(encode(by, ...quiet)).toEqual([]);
    const error = new VoiceError('invalid_message', { message: 'So not.' });
    expect(encode(by, { kind: 'error', error })).toEqual([
      { type: 'Error', sequence_id: 0, code: 'invalid_message', description: 'So not.' },
    ]);
    expect(by.close({ kind: 'ended' }).code).toBe(1000);
  });
});
