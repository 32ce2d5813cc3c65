import { describe, expect, it } from '@jest/globals';
import { ERRORS, type ErrorCode, VoiceError } from '@voice-fleet/protocol/errors';
import { LeanServerFrame } from '@voice-fleet/protocol/lean';
import type { CloseReason, SessionEvent } from '@voice-fleet/protocol/session';
import { LeanCodec } from './codec.ts';
import { leanDialect } from './dialect.ts';

const CODES = Object.keys(ERRORS) as ErrorCode[];
const session = { id: 'sess_1', model: 'm', createdAtS: 1 };
const usage = { promptTokens: 1, completionTokens: 1 };

describe('the lean codec', () => {
  const codec = new LeanCodec();
  const decode = (text: string) => codec.decode(Buffer.from(text), false);
  /** What is sent, which must be frames of the protocol. */
  const frames = (event: SessionEvent): LeanServerFrame[] =>
    codec.encode(event).map((frame) => LeanServerFrame.parse(JSON.parse(frame)));
  const codeOf = (run: () => unknown): string | undefined => {
    try {
      run();
      return undefined;
    } catch (error) {
      return error instanceof VoiceError ? error.code : String(error);
    }
  };

  it('takes start, stop and audio', () => {
    expect(decode('{"type":"start","sample_rate":16000}')).toEqual({
      kind: 'start',
      utteranceId: '',
      voice: { mode: 'transcribe', endpointing: true, sampleRate: 16_000 },
    });
    expect(decode('{"type":"stop","more":1}')).toEqual({
      kind: 'finalize',
      utteranceId: undefined,
    });
    const pcm = Buffer.alloc(65_536);
    expect(codec.decode(pcm, true)).toEqual({ kind: 'audio', utteranceId: undefined, pcm });
  });

  it.each([
    ['', 'invalid_message'],
    ['null', 'invalid_message'],
    ['"start"', 'invalid_message'],
    [`{"type":"stop","x":"${'x'.repeat(65_536)}"}`, 'invalid_message'],
    ['{"type":"start","sample_rate":1.5}', 'invalid_message'],
    ['{"type":"cancel"}', 'unknown_message_type'],
    ['{"type":7}', 'unknown_message_type'],
  ])('does not take %s', (text, code) => {
    expect(codeOf(() => decode(text))).toBe(code);
  });

  it('takes no audio of an odd number of bytes, and no frame above 64 KiB', () => {
    expect(codeOf(() => codec.decode(Buffer.alloc(7), true))).toBe('invalid_audio');
    expect(codeOf(() => codec.decode(Buffer.alloc(65_538), true))).toBe('message_too_large');
  });

  it('greets with the protocol before all else', () => {
    expect(frames({ kind: 'created', session })).toEqual([
      { type: 'protocol', version: 1 },
      { type: 'info', message: 'Connected', session_id: 'sess_1' },
    ]);
  });

  it('gives the two stages of a final two ids', () => {
    const [first] = frames({ kind: 'provisional', utteranceId: 'u', text: 'a' });
    const [second] = frames({ kind: 'final', utteranceId: 'u', text: 'a b', usage });
    expect(first).toMatchObject({ type: 'final_transcript', text: 'a', provisional: true });
    expect(second).toEqual({ type: 'final_transcript', text: 'a b', id: 'u', provisional: false });
    expect(first).not.toMatchObject({ id: 'u' });
  });

  it.each([
    { kind: 'queued', position: 2, estimateMs: undefined },
    { kind: 'warning', limit: 'session_seconds', used: 8, max: 10 },
    {
      kind: 'dropped',
      utteranceId: 'u',
      samples: 1,
      maxBacklogSamples: 1,
      source: 'pending_buffer',
    },
    { kind: 'shutdown', graceMs: 10 },
    { kind: 'notice', code: 'complete', message: 'Session complete' },
  ] as const)('tells $kind as an info with a code', (event) => {
    expect(frames(event)).toMatchObject([
      { type: 'info', code: expect.stringMatching(/^[A-Z_]+$/) },
    ]);
  });

  it.each([
    { kind: 'partial', utteranceId: 'u', text: 'a', tail: '' },
    { kind: 'pong' },
    { kind: 'token', utteranceId: 'u', text: 'a', done: false },
    { kind: 'notice', code: 'barge_in', message: '' },
  ] as const)('has no frame for $kind', (event) => {
    expect(frames(event)).toEqual([]);
  });

  it('lets no fact of a debug event take its place', () => {
    const facts = { type: 'x', event: 'y', pcm_ms: 1 };
    expect(frames({ kind: 'debug', event: 'heartbeat', facts })).toEqual([
      { type: 'debug', event: 'heartbeat', pcm_ms: 1 },
    ]);
  });

  it.each(CODES)('tells %s as an error, recoverable when the connection goes on', (code) => {
    const [frame] = frames({ kind: 'error', error: new VoiceError(code) });
    expect(frame).toMatchObject({
      type: 'error',
      recoverable: ERRORS[code].tier === 'client_mistake',
    });
  });

  it.each<[CloseReason, number]>([
    [{ kind: 'ended' }, 1000],
    [{ kind: 'idle' }, 4000],
    [{ kind: 'max-duration' }, 4003],
    [{ kind: 'shutdown' }, 1001],
    [{ kind: 'slow-reader' }, 1008],
    [{ kind: 'error', error: new VoiceError('authentication_failed') }, 1008],
    [{ kind: 'error', error: new VoiceError('at_capacity') }, 1013],
    [{ kind: 'error', error: new VoiceError('internal') }, 1011],
  ])('closes after %j with %i', (reason, code) => {
    expect(codec.close(reason).code).toBe(code);
  });
});

describe('the handshake of the lean dialect', () => {
  const key = (guestKey: string, query = '', headers = {}): string =>
    leanDialect({ guestKey }).handshake(new URLSearchParams(query), headers).apiKey;

  it('takes the key of the query, of a header, or of guests, in this order', () => {
    const headers = { 'x-api-key': 'h' };
    expect(key('g', 'api_key=q', headers)).toBe('q');
    expect(key('g', '', headers)).toBe('h');
    expect(key('g', '', { authorization: 'Bearer b' })).toBe('b');
    expect(key('g')).toBe('g');
    expect(key('')).toBe('');
  });
});
