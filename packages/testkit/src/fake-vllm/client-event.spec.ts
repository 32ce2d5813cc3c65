import { describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import { decodeClientEvent } from './client-event.ts';

const MAX_SAMPLES = 1_000;
const pcm = Buffer.from([1, 0, 2, 0, 3, 0]);
const audio = pcm.toString('base64');

function decode(value: unknown): unknown {
  return decodeClientEvent(Buffer.from(JSON.stringify(value)), MAX_SAMPLES);
}

function decodeAudio(text: unknown): unknown {
  return decode({ type: 'input_audio_buffer.append', audio: text });
}

const INVALID = { kind: 'refused', code: 'invalid_audio', message: 'Invalid audio data' };

describe('decodeClientEvent', () => {
  it('reads an append the same way however it is written', () => {
    for (const text of [
      `{"type":"input_audio_buffer.append","audio":"${audio}"}`,
      `{"type": "input_audio_buffer.append", "audio": "${audio}"}`,
      `{ "audio" : "${audio}", "extra": [1], "type" : "input_audio_buffer.append" }`,
      `{"type":"input_audio_buffer.append","audio":"${audio}","more":"x"}`,
      `{"type":"input_audio_buffer.append","audio":"AAAA","audio":"${audio}"}`,
      `{"type":"input_audio_buffer.append","audio":"\\u0041QACAAMA"}`,
    ])
      expect([text, decodeClientEvent(Buffer.from(text), MAX_SAMPLES)]).toEqual([
        text,
        { kind: 'audio', pcm },
      ]);
  });

  it('reads any even number of bytes back', () => {
    fc.assert(
      fc.property(fc.uint8Array({ minLength: 1, maxLength: 300 }), (bytes) => {
        const sent = Buffer.from(bytes);
        const expected = sent.length % 2 === 0 ? { kind: 'audio', pcm: sent } : INVALID;
        expect(decodeAudio(sent.toString('base64'))).toEqual(expected);
      }),
    );
  });

  it.each([
    ['a newline', 'AQAC\nAAMA'],
    ['a letter of base64url', 'AQAC-AAM_A'],
    ['four letters of base64url', 'AQACAAMA_-_-'],
    ['a stranger', 'AQ*AC%AAMA'],
    ['a lone equals sign', '=AQACAAMA'],
  ])('skips %s, as Python does', (_, text) => {
    expect(decodeAudio(text)).toEqual({ kind: 'audio', pcm });
  });

  it('reads nothing behind complete padding', () => {
    expect(decodeAudio('AQA=AAAA')).toEqual({ kind: 'audio', pcm: Buffer.from([1, 0]) });
  });

  it.each([
    ['missing padding', 'AQA'],
    ['five letters', 'AAAAA'],
    ['an odd number of bytes', 'AQ=='],
    ['no audio', ''],
    ['strangers only', '%%%%'],
    ['padding only', '===='],
    ['too short without its letter of base64url', 'AQAC-AAM'],
    ['a character beyond ASCII', 'AQACAAMAŁ'],
    ['a character beyond ASCII in the place of a letter', 'AQACAAMŁ'],
    ['more samples than a clip may hold', Buffer.alloc(2_002).toString('base64')],
    ['a number', 5],
    ['null', null],
  ])('refuses audio that is %s', (_, text) => {
    expect(decodeAudio(text)).toEqual(INVALID);
  });

  it('takes a clip of exactly the limit', () => {
    expect(decodeAudio(Buffer.alloc(2_000).toString('base64'))).toMatchObject({ kind: 'audio' });
  });

  it.each([
    [undefined, false],
    [false, false],
    [true, true],
    [1, true],
    [0, false],
    ['true', true],
    ['Off', false],
    ['yes', true],
  ])('takes final %j for %j', (final, expected) => {
    const commit = { type: 'input_audio_buffer.commit', final };
    expect(decode(commit)).toEqual({ kind: 'commit', final: expected });
  });

  it.each([[null], ['maybe'], [2], [[]], [{}]])('finds fault with final %j', (final) => {
    const commit = { type: 'input_audio_buffer.commit', final };
    expect(decode(commit)).toMatchObject({ kind: 'commit', fault: expect.any(String) });
  });

  it.each([
    [[], 'list'],
    ['x', 'str'],
    [5, 'int'],
    [1.5, 'float'],
    [true, 'bool'],
    [null, 'NoneType'],
  ])('answers %j with a processing_error that names the type', (value, name) => {
    expect(decode(value)).toEqual({
      kind: 'refused',
      code: 'processing_error',
      message: `'${name}' object has no attribute 'get'`,
    });
  });

  it('never throws, whatever the frame holds', () => {
    const known = fc.constantFrom(
      'session.update',
      'input_audio_buffer.append',
      'input_audio_buffer.commit',
    );
    const event = fc.record(
      { type: fc.oneof(known, fc.jsonValue()), audio: fc.jsonValue(), final: fc.jsonValue() },
      { requiredKeys: [] },
    );
    fc.assert(
      fc.property(fc.oneof(event, fc.jsonValue()), (value) => {
        expect(decode(value)).toHaveProperty('kind');
      }),
    );
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 40 }), (bytes) => {
        expect(decodeClientEvent(Buffer.from(bytes), MAX_SAMPLES)).toHaveProperty('kind');
      }),
    );
  });
});
