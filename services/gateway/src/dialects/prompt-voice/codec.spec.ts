import { describe, expect, it } from '@jest/globals';
import { ERRORS, type ErrorCode, VoiceError } from '@voice-fleet/protocol/errors';
import { VoiceServerFrame } from '@voice-fleet/protocol/prompt-voice';
import type { ClientCommand, CloseReason, SessionEvent } from '@voice-fleet/protocol/session';
import fc from 'fast-check';
import { PromptVoiceCodec } from './codec.ts';

const codec = new PromptVoiceCodec();
const session = { id: 'sess_1', model: 'm', createdAtS: 1 };
const usage = { promptTokens: 1, completionTokens: 1 };
const utteranceId = 'u';

const decode = (value: unknown): ClientCommand =>
  codec.decode(Buffer.from(JSON.stringify(value)), false);

/** Parsed by the schema of what the server may send, which is strict. */
const encode = (event: SessionEvent): VoiceServerFrame[] =>
  codec.encode(event).map((text) => VoiceServerFrame.parse(JSON.parse(text)));

function refusal(run: () => unknown): string {
  try {
    run();
  } catch (error) {
    if (error instanceof VoiceError) return error.code;
    throw error;
  }
  return 'none';
}

describe('PromptVoiceCodec.decode', () => {
  it.each([
    [{ type: 'start' }, { mode: 'voice', endpointing: true, speech: {}, reply: {} }],
    [
      { type: 'start', sample_rate: 8000, mode: 'transcribe', endpointing: false, extra: 1 },
      { sampleRate: 8000, mode: 'transcribe', endpointing: false, speech: {}, reply: {} },
    ],
    [
      { type: 'start', unit: 'words', voice: 'kal', language: 'en' },
      {
        mode: 'voice',
        endpointing: true,
        speech: { unit: 'words', voice: 'kal', language: 'en' },
        reply: {},
      },
    ],
    [
      { type: 'start', mode: 'chat', reply_mode: 'transcribe', chunk_size_words: 3 },
      {
        mode: 'chat',
        endpointing: true,
        speech: {},
        reply: { mode: 'transcribe', chunk_size_words: 3 },
      },
    ],
  ])('reads the start %j', (frame, voice) => {
    expect(decode(frame)).toEqual({ kind: 'start', utteranceId: '', voice });
  });

  it.each([
    [{ type: 'stop' }, { kind: 'finalize', utteranceId: undefined }],
    [{ type: 'cancel' }, { kind: 'cancel', reason: 'client_request' }],
    [{ type: 'ping' }, { kind: 'ping' }],
  ])('reads %j', (frame, command) => {
    expect(decode(frame)).toEqual(command);
  });

  it('hands audio over as it is', () => {
    const pcm = Buffer.alloc(65_536);
    expect(codec.decode(pcm, true)).toEqual({ kind: 'audio', utteranceId: undefined, pcm });
  });

  it.each([
    [Buffer.alloc(65_538), true, 'protocol_violation'],
    [Buffer.alloc(65_537), false, 'protocol_violation'],
    [Buffer.alloc(3), true, 'invalid_audio'],
    [Buffer.from('{'), false, 'invalid_message'],
    [Buffer.from('null'), false, 'invalid_message'],
    [Buffer.from('{"type":7}'), false, 'invalid_message'],
    [Buffer.from('{"type":"start","sample_rate":"x"}'), false, 'invalid_message'],
    [Buffer.from('{"type":"toString"}'), false, 'unknown_message_type'],
  ])('refuses frames that are none (case %#)', (data, binary, code) => {
    expect(refusal(() => codec.decode(data, binary))).toBe(code);
  });

  it('throws nothing but VoiceError, whatever comes', () => {
    const type = fc.constantFrom('start', 'stop', 'cancel', 'ping', 'x');
    const frame = fc.oneof(fc.jsonValue(), fc.record({ type, mode: fc.jsonValue() }));
    fc.assert(
      fc.property(frame, fc.uint8Array(), fc.boolean(), (value, bytes, binary) => {
        refusal(() => decode(value));
        refusal(() => codec.decode(Buffer.from(bytes), binary));
      }),
    );
  });
});

describe('PromptVoiceCodec.encode', () => {
  it.each<[SessionEvent, VoiceServerFrame]>([
    [
      { kind: 'created', session },
      { type: 'info', message: 'connected', session_id: 'sess_1' },
    ],
    [
      { kind: 'started', utteranceId },
      { type: 'protocol', version: 1 },
    ],
    [
      { kind: 'transcript', utteranceId, text: 'a' },
      { type: 'partial_transcript', text: 'a' },
    ],
    [
      { kind: 'finalizing', utteranceId, reason: 'explicit_stop' },
      { type: 'finalize_pending', reason: 'explicit_stop' },
    ],
    [
      { kind: 'final', utteranceId, text: '', usage },
      { type: 'final_transcript', text: '', id: 'u' },
    ],
    [
      { kind: 'token', utteranceId, text: 'a', done: false },
      { type: 'llm_token', text: 'a', done: false },
    ],
    [
      { kind: 'token', utteranceId, text: '', done: true },
      { type: 'llm_token', done: true },
    ],
    [
      { kind: 'speech', utteranceId, seq: 3, audio: 'QQ==', durationMs: 1 },
      { type: 'tts_chunk', seq: 3, audio_b64: 'QQ==', mime: 'audio/wav' },
    ],
    [
      { kind: 'phrase-done', utteranceId, seq: 3 },
      { type: 'tts_phrase_done', seq: 3 },
    ],
    [{ kind: 'speech-complete', utteranceId }, { type: 'tts_complete' }],
    [
      { kind: 'marks', utteranceId, marks: { t0: 10, t2: 40, t3: 45 } },
      {
        type: 'metrics',
        event: 'latency',
        t0: 10,
        t2: 40,
        t3: 45,
        d_final_transcript: 30,
        d_first_token: 5,
      },
    ],
    [
      { kind: 'decode', utteranceId, runs: 2, ms: 9 },
      { type: 'metrics', event: 'decode', runs: 2, ms: 9 },
    ],
    [{ kind: 'pong' }, { type: 'pong' }],
    [
      { kind: 'notice', code: 'backpressure_on', message: 'm' },
      { type: 'info', code: 'BACKPRESSURE', message: 'm', active: true },
    ],
    [
      { kind: 'notice', code: 'backpressure_off', message: 'm' },
      { type: 'info', code: 'BACKPRESSURE', message: 'm', active: false },
    ],
    [
      { kind: 'notice', code: 'phrase_dropped', message: 'm' },
      { type: 'info', code: 'BACKPRESSURE', message: 'm' },
    ],
    [
      { kind: 'shutdown', graceMs: 5 },
      {
        type: 'info',
        code: 'SHUTDOWN',
        message: 'This server goes away; connect again.',
        reason: 'shutdown',
      },
    ],
  ])('writes %j', (event, frame) => {
    expect(encode(event)).toEqual([frame]);
  });

  it('has nothing for what the pipeline keeps to itself', () => {
    expect(encode({ kind: 'partial', utteranceId, text: 'a', tail: '' })).toEqual([]);
    expect(encode({ kind: 'ack', acceptedSample: 1, keep: undefined })).toEqual([]);
  });

  it.each(Object.keys(ERRORS) as ErrorCode[])(
    'says %s in the words of the protocol, and whether it ends the session',
    (code) => {
      const [frame] = encode({ kind: 'error', error: new VoiceError(code) });
      if (code === 'endpoint_deprecated') return expect(frame).toMatchObject({ type: 'info' });
      expect(frame).toMatchObject({ type: 'error', recoverable: ERRORS[code].tier !== 'fatal' });
    },
  );

  it('closes with codes that every WebSocket may send', () => {
    const kinds = ['ended', 'gone', 'idle', 'max-duration', 'shutdown', 'slow-reader'] as const;
    const reasons: CloseReason[] = [
      ...kinds.map((kind) => ({ kind })),
      ...(Object.keys(ERRORS) as ErrorCode[]).map((code) => ({
        kind: 'error' as const,
        error: new VoiceError(code),
      })),
    ];
    for (const reason of reasons)
      expect([1000, 1008, 1011, 1012, 1013, 4000, 4003]).toContain(codec.close(reason).code);
  });
});
