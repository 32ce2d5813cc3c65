import { describe, expect, it } from '@jest/globals';
import { ERRORS, type ErrorCode, VoiceError } from '@voice-fleet/protocol/errors';
import type { ClientCommand, CloseReason, SessionEvent } from '@voice-fleet/protocol/session';
import { YAP_CLIENT_TYPES, YapServerFrame } from '@voice-fleet/protocol/yap';
import fc from 'fast-check';
import { YapCodec } from './codec.ts';

const SETTINGS = { unauthorizedCode: 4401, busyCode: 4429, idleReason: 'bored' };
const CODES = Object.keys(ERRORS) as ErrorCode[];
const session = { id: 'sess_1', model: 'm', createdAtS: 1_700_000_000 };
const usage = { promptTokens: 3, completionTokens: 2 };

const codec = (): YapCodec => new YapCodec(SETTINGS);

function decode(to: YapCodec, value: unknown): ClientCommand {
  return to.decode(Buffer.from(JSON.stringify(value)), false);
}

/** A message of the client with ids that most tests do not care about. */
function message(type: string, payload?: unknown, ids: Record<string, unknown> = {}): unknown {
  return { type, session_id: 's', request_id: 'r', payload, ...ids };
}

function refusal(run: () => unknown): VoiceError {
  try {
    run();
  } catch (error) {
    if (error instanceof VoiceError) return error;
    throw error;
  }
  throw new Error('nothing was thrown');
}

/** Parsed by the schema of what the server may send, which is strict. */
function encode(by: YapCodec, event: SessionEvent): YapServerFrame[] {
  return by.encode(event).map((text) => YapServerFrame.parse(JSON.parse(text)));
}

function idsOf(by: YapCodec, event: SessionEvent): string[] {
  return encode(by, event).flatMap((frame) => [frame.session_id, frame.request_id]);
}

describe('YapCodec.decode', () => {
  it.each([
    [message('input_audio_buffer.commit', {}), { kind: 'start', utteranceId: 'r' }],
    [message('input_audio_buffer.commit'), { kind: 'start', utteranceId: 'r' }],
    [message('input_audio_buffer.commit', null), { kind: 'start', utteranceId: 'r' }],
    [message('input_audio_buffer.commit', { final: 0 }), { kind: 'start', utteranceId: 'r' }],
    [message('input_audio_buffer.commit', { final: true }), { kind: 'finalize', utteranceId: 'r' }],
    [
      message('input_audio_buffer.commit', { final: 'false' }),
      { kind: 'finalize', utteranceId: 'r' },
    ],
    [message('session.update', { model: 'm' }), { kind: 'configure', model: 'm' }],
    [message('session.update', { model: 7 }), { kind: 'configure', model: undefined }],
    [message('session.update', { model: '' }), { kind: 'configure', model: undefined }],
    [message('cancel', { reason: 'enough' }), { kind: 'cancel', reason: 'enough' }],
    [message('cancel', { reason: ' ' }), { kind: 'cancel', reason: 'client_request' }],
    [message('cancel'), { kind: 'cancel', reason: 'client_request' }],
    [message('ping', { extra: [1] }, { more: 1 }), { kind: 'ping' }],
    [message('pong'), { kind: 'ignore' }],
    [message('end'), { kind: 'end' }],
  ])('reads %j', (value, command) => {
    expect(decode(codec(), value)).toEqual(command);
  });

  it('reads the audio of an append', () => {
    const pcm = Buffer.from([1, 2, 3, 4]);
    const command = decode(
      codec(),
      message('input_audio_buffer.append', { audio: pcm.toString('base64') }),
    );
    expect(command).toEqual({ kind: 'audio', utteranceId: 'r', pcm });
  });

  it('cuts the reason of a cancel to 200 characters', () => {
    const command = decode(codec(), message('cancel', { reason: 'x'.repeat(500) }));
    expect(command).toEqual({ kind: 'cancel', reason: 'x'.repeat(200) });
  });

  it.each([
    ['[]', 'message'],
    ['null', 'message'],
    ['7', 'message'],
    ['"ping"', 'message'],
    [JSON.stringify(message(' ')), 'type'],
    [JSON.stringify(message('ping', {}, { type: 7 })), 'type'],
    [JSON.stringify(message('ping', {}, { session_id: '\t' })), 'session_id'],
    [JSON.stringify({ type: 'ping', session_id: 's' }), 'request_id'],
    [JSON.stringify(message('ping', [])), 'payload'],
    [JSON.stringify(message('ping', 'x')), 'payload'],
  ])('refuses %s and names what is wrong with it', (text, where) => {
    const error = refusal(() => codec().decode(Buffer.from(text), false));
    expect(error.code).toBe('invalid_message');
    expect(error.message).toContain(`${where}:`);
  });

  it.each(['', '{', 'undefined', '{"type":"ping",}', '['.repeat(10_000)])(
    'refuses text that is not JSON (case %#)',
    (text) => {
      const error = refusal(() => codec().decode(Buffer.from(text), false));
      expect([error.code, error.message]).toEqual([
        'invalid_message',
        'The message is not valid JSON.',
      ]);
    },
  );

  it('refuses an unknown type and names the known ones', () => {
    const error = refusal(() => decode(codec(), message('toString')));
    expect(error.code).toBe('unknown_message_type');
    for (const type of YAP_CLIENT_TYPES) expect(error.message).toContain(type);
  });

  it('throws nothing but VoiceError, whatever bytes come', () => {
    const by = codec();
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 200 }), fc.boolean(), (bytes, binary) => {
        expect(refusal(() => by.decode(Buffer.from(bytes), binary)).tier).toBe('client_mistake');
      }),
    );
  });

  it('throws nothing but VoiceError, whatever JSON comes in or around an envelope', () => {
    const by = codec();
    const type = fc.oneof(fc.constantFrom(...YAP_CLIENT_TYPES), fc.jsonValue());
    const envelope = fc.record(
      {
        type,
        session_id: fc.oneof(fc.string(), fc.jsonValue()),
        request_id: fc.oneof(fc.string(), fc.jsonValue()),
        payload: fc.oneof(
          fc.record(
            { audio: fc.jsonValue(), final: fc.jsonValue(), model: fc.jsonValue() },
            { requiredKeys: [] },
          ),
          fc.jsonValue(),
        ),
      },
      { requiredKeys: [] },
    );
    fc.assert(
      fc.property(fc.oneof(envelope, fc.jsonValue()), (value) => {
        try {
          expect(decode(by, value)).toHaveProperty('kind');
        } catch (error) {
          expect(error).toBeInstanceOf(VoiceError);
        }
        // Whatever was remembered of it, the next frame out is whole.
        encode(by, { kind: 'pong' });
      }),
      { numRuns: 500 },
    );
  });
});

describe('YapCodec.encode', () => {
  it('greets with the ids of the session, as no message was seen', () => {
    expect(encode(codec(), { kind: 'created', session })).toEqual([
      {
        type: 'session.created',
        session_id: 'sess_1',
        request_id: 'unknown',
        payload: { id: 'sess_1', created: 1_700_000_000, model: 'm' },
      },
    ]);
  });

  it('tags answers with the ids of the last message, and with "unknown" before the first', () => {
    const by = codec();
    const error = new VoiceError('invalid_message');
    expect(idsOf(by, { kind: 'error', error })).toEqual(['unknown', 'unknown']);
    decode(by, message('ping', {}, { session_id: 'a', request_id: 'b' }));
    expect(idsOf(by, { kind: 'pong' })).toEqual(['a', 'b']);
    expect(idsOf(by, { kind: 'ended' })).toEqual(['a', 'b']);
    expect(idsOf(by, { kind: 'cancelled', reason: 'x' })).toEqual(['a', 'b']);
    refusal(() => by.decode(Buffer.from('{'), false));
    expect(idsOf(by, { kind: 'error', error })).toEqual(['a', 'b']);
  });

  it('tags frames of an utterance with the ids of the message that started it', () => {
    const by = codec();
    decode(by, message('input_audio_buffer.commit', {}, { session_id: 's1', request_id: 'utt' }));
    decode(by, message('ping', {}, { session_id: 's2', request_id: 'other' }));
    const utteranceId = 'utt';
    const error = new VoiceError('worker_lost');
    for (const event of [
      { kind: 'partial', utteranceId, text: 'a', tail: '' },
      { kind: 'dropped', utteranceId, samples: 1, maxBacklogSamples: 2, source: 'pending_buffer' },
      { kind: 'error', utteranceId, error },
    ] as const)
      expect(idsOf(by, event)).toEqual(['s1', 'utt']);
    expect(idsOf(by, { kind: 'final', utteranceId, text: 'a', usage })).toEqual([
      's1',
      'utt',
      's1',
      'utt',
    ]);
  });

  it('never gives a frame of one utterance the id of another, as when a start was refused', () => {
    const by = codec();
    decode(by, message('input_audio_buffer.commit', {}, { request_id: 'old' }));
    decode(by, message('input_audio_buffer.commit', {}, { request_id: 'new' }));
    const late = { kind: 'partial', utteranceId: 'old', text: 'a', tail: '' } as const;
    expect(idsOf(by, late)).toEqual(['s', 'old']);
  });

  it('sends final and done together, with the sum of the tokens', () => {
    const by = codec();
    const frames = encode(by, { kind: 'final', utteranceId: 'u', text: ' hi', usage });
    expect(frames.map((frame) => [frame.type, frame.payload])).toEqual([
      ['final', { normalized_text: ' hi' }],
      ['done', { usage: { prompt_tokens: 3, completion_tokens: 2, total_tokens: 5 } }],
    ]);
  });

  it('has no frame for a guess that settled nothing', () => {
    expect(encode(codec(), { kind: 'partial', utteranceId: 'u', text: '', tail: 'maybe' })).toEqual(
      [],
    );
  });

  it('tells dropped audio in seconds', () => {
    const [frame] = encode(codec(), {
      kind: 'dropped',
      utteranceId: 'u',
      samples: 4_000,
      maxBacklogSamples: 80_000,
      source: 'pending_buffer',
    });
    expect(frame?.payload).toEqual({
      kind: 'overload_drop',
      dropped_seconds: 0.25,
      max_backlog_seconds: 5,
      source: 'pending_buffer',
    });
  });

  it.each(CODES)(
    'says %s in the words of the protocol, with its own code in the details',
    (code) => {
      const error = new VoiceError(code, { details: { extra: 1 }, cause: new Error('secret') });
      const [frame] = encode(codec(), { kind: 'error', error });
      const reason_code = code === 'at_capacity' ? 'server_at_capacity' : code;
      expect(frame?.payload).toEqual({
        code: expect.stringMatching(
          /^(authentication_failed|server_at_capacity|invalid_(message|payload|audio)|internal_error|rate_limited|processing_error|resume_refused)$/,
        ),
        message: ERRORS[code].message,
        details: { reason_code, extra: 1 },
      });
    },
  );

  it('numbers frames, and numbered ones are frames of the schema as well', () => {
    const by = codec();
    const [frame = ''] = by.encode({ kind: 'pong' });
    const numbered = YapServerFrame.parse(JSON.parse(by.numbered(frame, 7)));
    expect(numbered).toEqual({ ...JSON.parse(frame), seq: 7 });
  });

  it('offers a resume, and tells a client that took it up what to send again', () => {
    const resume = { token: 't', ttlMs: 60_000 };
    const [created] = encode(codec(), { kind: 'created', session, resume });
    expect(created?.payload).toMatchObject({ id: 'sess_1', resume: { token: 't', ttl_s: 60 } });
    const from = { utteranceId: 'u', fromSample: 9 };
    const [resumed] = encode(codec(), { kind: 'resumed', session, resume, from });
    expect([resumed?.request_id, resumed?.payload]).toMatchObject([
      'u',
      { open: { request_id: 'u', from_sample: 9 } },
    ]);
    const [idle] = encode(codec(), { kind: 'resumed', session, resume, from: undefined });
    expect(idle?.payload).not.toHaveProperty('open');
  });

  it('acknowledges audio under the id of the open utterance', () => {
    const keep = { utteranceId: 'u', fromSample: 3 };
    const [ack] = encode(codec(), { kind: 'ack', acceptedSample: 9, keep });
    expect([ack?.request_id, ack?.payload]).toEqual([
      'u',
      { accepted_samples: 9, keep_from_sample: 3 },
    ]);
    const [idle] = encode(codec(), { kind: 'ack', acceptedSample: 9, keep: undefined });
    expect(idle?.payload).toEqual({ accepted_samples: 9 });
  });

  it('tells of the line, of limits and of a shutdown in status frames', () => {
    const payloads = [
      { kind: 'queued', position: 3, estimateMs: 1_500 } as const,
      { kind: 'queued', position: 3, estimateMs: undefined } as const,
      { kind: 'warning', limit: 'session_seconds', used: 8, max: 10 } as const,
      { kind: 'shutdown', graceMs: 2_000 } as const,
    ].map((event) => encode(codec(), event)[0]?.payload);
    expect(payloads).toEqual([
      { kind: 'queued', position: 3, estimate_s: 1.5 },
      { kind: 'queued', position: 3 },
      { kind: 'limit_warning', limit: 'session_seconds', used: 8, max: 10 },
      { kind: 'shutdown', grace_s: 2 },
    ]);
  });

  it('goes on with the ids of a codec whose memory it was given', () => {
    const one = codec();
    decode(one, message('input_audio_buffer.commit', {}, { session_id: 's1', request_id: 'utt' }));
    decode(one, message('ping', {}, { session_id: 's2', request_id: 'p' }));
    const other = codec();
    other.recall(JSON.parse(JSON.stringify(one.memory())));
    expect(idsOf(other, { kind: 'pong' })).toEqual(['s2', 'p']);
    expect(idsOf(other, { kind: 'partial', utteranceId: 'utt', text: 'a', tail: '' })).toEqual([
      's1',
      'utt',
    ]);
  });

  it('gives frames of the schema for any event with any text in it', () => {
    const text = fc.string({ unit: 'binary' });
    const count = fc.nat();
    const error = fc
      .record({
        code: fc.constantFrom(...CODES),
        details: fc.dictionary(fc.string(), fc.oneof(fc.string(), fc.integer())),
      })
      .map(({ code, details }) => new VoiceError(code, { details: { ...details } }));
    const info = fc.record({ id: text, model: text, createdAtS: count });
    const event: fc.Arbitrary<SessionEvent> = fc.oneof(
      fc.record({ kind: fc.constantFrom('created', 'configured'), session: info }),
      fc.record({ kind: fc.constant('partial'), utteranceId: text, text, tail: text }),
      fc.record({
        kind: fc.constant('final'),
        utteranceId: text,
        text,
        usage: fc.record({ promptTokens: count, completionTokens: count }),
      }),
      fc.record({
        kind: fc.constant('dropped'),
        utteranceId: text,
        samples: count,
        maxBacklogSamples: count,
        source: fc.constant('pending_buffer'),
      }),
      fc.record({ kind: fc.constant('cancelled'), reason: text }),
      fc.record({ kind: fc.constantFrom('pong', 'ended') }),
      fc.record({ kind: fc.constant('error'), error }),
      fc.record({ kind: fc.constant('error'), error, utteranceId: text }),
    ) as fc.Arbitrary<SessionEvent>;
    fc.assert(
      fc.property(event, text, (sent, id) => {
        const by = codec();
        decode(by, message('input_audio_buffer.commit', {}, { request_id: `x${id}` }));
        for (const frame of by.encode(sent)) {
          const value = JSON.parse(frame) as Record<string, unknown>;
          expect(Object.keys(value).sort()).toEqual([
            'payload',
            'request_id',
            'session_id',
            'type',
          ]);
          expect(YapServerFrame.safeParse(value).success).toBe(true);
        }
      }),
      { numRuns: 500 },
    );
  });
});

describe('YapCodec.close', () => {
  const failed = (code: ErrorCode): CloseReason => ({ kind: 'error', error: new VoiceError(code) });

  it.each([
    [{ kind: 'ended' }, 1000, ''],
    [{ kind: 'idle' }, 4000, 'bored'],
    [{ kind: 'max-duration' }, 4003, 'max connection duration reached'],
    [{ kind: 'shutdown' }, 1012, 'shutting down, reconnect'],
    [{ kind: 'slow-reader' }, 4429, 'client reads too slowly'],
    [failed('authentication_failed'), 4401, ERRORS.authentication_failed.message],
    [failed('at_capacity'), 4429, ERRORS.at_capacity.message],
    [failed('fleet_unavailable'), 4429, ERRORS.fleet_unavailable.message],
    [failed('inbound_queue_full'), 4429, ERRORS.inbound_queue_full.message],
    [{ kind: 'unresponsive' }, 4429, 'no answer to ping'],
    [failed('internal'), 1011, ERRORS.internal.message],
  ] as [CloseReason, number, string][])('closes on %j with %i', (reason, code, text) => {
    expect(codec().close(reason)).toEqual({ code, reason: text });
  });
});
