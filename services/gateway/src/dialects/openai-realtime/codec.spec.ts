import { describe, expect, it } from '@jest/globals';
import { ERRORS, type ErrorCode, VoiceError } from '@voice-fleet/protocol/errors';
import { OpenAiServerEvent } from '@voice-fleet/protocol/openai-realtime';
import type { ClientCommand, SessionEvent } from '@voice-fleet/protocol/session';
import fc from 'fast-check';
import { OpenAiCodec } from './codec.ts';

const session = { id: 'sess_1', model: 'served', createdAtS: 1_700_000_000 };
const usage = { promptTokens: 3, completionTokens: 2 };
const HINTS = { model: undefined, transcribes: true };

const word = (text: string) => ({ text, startSample: 0, endSample: 1 });

/** A codec whose session is greeted and listens. */
function greeted(hints: { model: string | undefined; transcribes: boolean } = HINTS): OpenAiCodec {
  const codec = new OpenAiCodec(hints);
  wire(codec, { kind: 'created', session });
  wire(codec, { kind: 'listening', session, options: {} });
  return codec;
}

function decode(codec: OpenAiCodec, frame: unknown): ClientCommand {
  return codec.decode(Buffer.from(JSON.stringify(frame)));
}

/** Parsed by the schema of what the server may send, which is strict. */
function wire(codec: OpenAiCodec, event: SessionEvent): OpenAiServerEvent[] {
  return codec.encode(event).map((text) => OpenAiServerEvent.parse(JSON.parse(text)));
}

function update(codec: OpenAiCodec, input: object, rest: object = {}): ClientCommand {
  return decode(codec, {
    type: 'session.update',
    session: { type: 'transcription', audio: { input }, ...rest },
  });
}

function append(codec: OpenAiCodec, bytes: Buffer): Buffer {
  const audio = bytes.toString('base64');
  const command = decode(codec, { type: 'input_audio_buffer.append', audio });
  return command.kind === 'audio' ? command.pcm : Buffer.alloc(0);
}

/** What a client is told of an update, as soon as it is in force. */
function updated(codec: OpenAiCodec): Record<string, unknown> {
  const [told] = codec.encode({ kind: 'listening', session, options: {} });
  return JSON.parse(told ?? '{}') as Record<string, unknown>;
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

describe('what a session of OpenAI listens to', () => {
  it('begins with detection by the server, at 24 kHz', () => {
    const codec = new OpenAiCodec(HINTS);
    expect(codec.opening).toEqual({ kind: 'listen', options: { endpointing: { silenceMs: 500 } } });
    const [created] = wire(codec, { kind: 'created', session });
    expect(created).toMatchObject({
      type: 'session.created',
      session: {
        id: 'sess_1',
        object: 'realtime.transcription_session',
        type: 'transcription',
        audio: {
          input: {
            format: { type: 'audio/pcm', rate: 24_000 },
            transcription: { model: 'served' },
            turn_detection: { type: 'server_vad', silence_duration_ms: 500 },
          },
        },
      },
    });
  });

  it.each([
    [{ turn_detection: null }, {}],
    [
      { turn_detection: { type: 'server_vad', silence_duration_ms: 350 } },
      { endpointing: { silenceMs: 350 } },
    ],
    [
      { turn_detection: { type: 'semantic_vad', eagerness: 'high' } },
      { endpointing: { silenceMs: 400 } },
    ],
    [
      { transcription: { model: 'm', language: 'de-DE' } },
      { model: 'm', language: 'de', endpointing: { silenceMs: 500 } },
    ],
    [{ transcription: { model: 'gpt-realtime-whisper' } }, { model: 'gpt-realtime-whisper' }],
    [
      { transcription: { model: 'gpt-live-transcribe' }, turn_detection: { type: 'server_vad' } },
      { model: 'gpt-live-transcribe', endpointing: { silenceMs: 500 } },
    ],
    [
      { noise_reduction: { type: 'near_field' }, format: null, transcription: null },
      { endpointing: { silenceMs: 500 } },
    ],
  ])('with %j is %j', (input, options) => {
    expect(update(greeted(), input)).toEqual({ kind: 'listen', options });
  });

  it('keeps what an update does not name, and tells all of it', () => {
    const codec = greeted();
    update(codec, { transcription: { model: 'm', prompt: 'names' }, turn_detection: null });
    updated(codec);
    update(codec, { format: { type: 'audio/pcm', rate: 16_000 } }, { include: ['x'] });
    expect(updated(codec)).toEqual({
      type: 'session.updated',
      event_id: expect.any(String),
      session: {
        id: 'sess_1',
        object: 'realtime.transcription_session',
        type: 'transcription',
        include: ['x'],
        audio: {
          input: {
            format: { type: 'audio/pcm', rate: 16_000 },
            transcription: { model: 'm', prompt: 'names' },
            turn_detection: null,
          },
        },
      },
    });
  });

  it('takes the model of the address for the one that transcribes', () => {
    const command = update(greeted({ model: 'whisper-1', transcribes: true }), {});
    expect(command).toMatchObject({ options: { model: 'whisper-1' } });
  });

  it('understands the names of the beta, and answers in its words', () => {
    const codec = greeted();
    const command = decode(codec, {
      type: 'transcription_session.update',
      session: {
        input_audio_format: 'g711_ulaw',
        input_audio_transcription: { model: 'm', language: 'en' },
        turn_detection: null,
      },
    });
    expect(command).toEqual({ kind: 'listen', options: { model: 'm', language: 'en' } });
    expect(updated(codec)).toMatchObject({
      type: 'transcription_session.updated',
      session: { audio: { input: { format: { type: 'audio/pcmu' } } } },
    });
  });

  it.each([
    [{ audio: { input: { transcription: { model: 'm' } } } }, false],
    [{ audio: { input: {} } }, true],
    [{ instructions: 'Be short.', audio: { input: { transcription: { model: 'm' } } } }, true],
    [
      {
        audio: {
          input: {
            transcription: { model: 'm' },
            turn_detection: { type: 'server_vad', create_response: true },
          },
        },
      },
      true,
    ],
  ])('answers a realtime session with %j: %s', (asked, answers) => {
    const codec = greeted({ model: 'gpt-realtime', transcribes: false });
    const command = decode(codec, {
      type: 'session.update',
      session: { type: 'realtime', ...asked },
    });
    expect(command.kind === 'listen' && command.options.agent !== undefined).toBe(answers);
    expect(updated(codec)).toMatchObject({
      session: { type: answers ? 'realtime' : 'transcription' },
    });
  });

  it('becomes a conversation when its client asks for a reply', () => {
    const codec = greeted({ model: undefined, transcribes: false });
    const command = decode(codec, { type: 'response.create' });
    expect(command).toMatchObject({
      kind: 'several',
      commands: [{ kind: 'listen', options: { agent: { speak: true } } }, { kind: 'respond' }],
    });
    expect(codec.encode({ kind: 'listening', session, options: {} })).toEqual([]);
  });
});

describe('audio of a session of OpenAI', () => {
  it.each([8_000, 16_000, 24_000, 48_000])('is taken at %d Hz', (rate) => {
    const codec = greeted();
    update(codec, { format: { type: 'audio/pcm', rate } });
    const second = Buffer.alloc(rate * 2);
    for (let at = 0; at < rate; at += 1) second.writeInt16LE(1_000, at * 2);
    const pcm = Buffer.concat([append(codec, second), rest(codec)]);
    expect(pcm.length).toBe(32_000);
    expect(pcm.readInt16LE(16_000)).toBe(1_000);
  });

  it.each([
    ['audio/pcmu', 0xff, 0],
    ['audio/pcma', 0xd5, 8],
  ])('is taken as %s', (type, silent, value) => {
    const codec = greeted();
    update(codec, { format: { type } });
    const pcm = append(codec, Buffer.alloc(8_000, silent));
    expect(pcm.length).toBeGreaterThan(31_000);
    expect(Math.abs(pcm.readInt16LE(16_000))).toBeLessThanOrEqual(value);
  });

  it('may be cut within a sample', () => {
    const codec = greeted();
    update(codec, { format: { type: 'audio/pcm', rate: 16_000 } });
    const parts = [Buffer.from([1, 2, 3]), Buffer.from([4]), Buffer.from([5, 6])];
    expect(Buffer.concat(parts.map((part) => append(codec, part)))).toEqual(
      Buffer.from([1, 2, 3, 4, 5, 6]),
    );
    decode(codec, { type: 'input_audio_buffer.clear' });
  });

  it('is refused at other rates, and what held before holds', () => {
    const codec = greeted();
    update(codec, { format: { type: 'audio/pcm', rate: 16_000 } });
    updated(codec);
    const error = refusal(() => update(codec, { format: { type: 'audio/pcm', rate: 44_100 } }));
    expect(error.code).toBe('unsupported_sample_rate');
    const pcm = Buffer.from([1, 2, 3, 4]);
    expect(append(codec, pcm)).toEqual(pcm);
  });

  it('is ended by a commit with what the filter held back', () => {
    const codec = greeted();
    append(codec, Buffer.alloc(48_000));
    expect(decode(codec, { type: 'input_audio_buffer.commit' })).toMatchObject({
      kind: 'several',
      commands: [{ kind: 'audio' }, { kind: 'finalize' }],
    });
    expect(decode(codec, { type: 'input_audio_buffer.commit' })).toMatchObject({
      kind: 'finalize',
    });
  });

  function rest(codec: OpenAiCodec): Buffer {
    const command = decode(codec, { type: 'input_audio_buffer.commit' });
    const [first] = command.kind === 'several' ? command.commands : [command];
    return first?.kind === 'audio' ? first.pcm : Buffer.alloc(0);
  }
});

describe('what clients of OpenAI are told', () => {
  it('is one item for each utterance, whole, with the text of its deltas', () => {
    const codec = greeted();
    const utteranceId = 'utt_1';
    const told = [
      { kind: 'speech-began', utteranceId, sample: 5_120 },
      { kind: 'heard', utteranceId, words: [word(' the')], tail: ' qui' },
      { kind: 'heard', utteranceId, words: [], tail: ' quick' },
      { kind: 'speech-ended', utteranceId, sample: 46_400 },
      { kind: 'committed', utteranceId, fromSample: 0, toSample: 41_600, cause: 'endpoint' },
      { kind: 'heard', utteranceId, words: [word(' quick')], tail: '' },
      { kind: 'transcribed', utteranceId, text: 'the quick fox', words: [], usage },
    ].flatMap((event) => wire(codec, event as SessionEvent));
    const item = {
      id: 'utt_1',
      object: 'realtime.item',
      type: 'message',
      status: 'completed',
      role: 'user',
    };
    const place = { item_id: 'utt_1', content_index: 0 };
    expect(told.map(({ event_id: _, ...rest }) => rest)).toEqual([
      { type: 'input_audio_buffer.speech_started', item_id: 'utt_1', audio_start_ms: 320 },
      { type: 'conversation.item.input_audio_transcription.delta', ...place, delta: 'the' },
      { type: 'input_audio_buffer.speech_stopped', item_id: 'utt_1', audio_end_ms: 2_900 },
      { type: 'input_audio_buffer.committed', item_id: 'utt_1', previous_item_id: null },
      {
        type: 'conversation.item.added',
        previous_item_id: null,
        item: { ...item, content: [{ type: 'input_audio', transcript: '' }] },
      },
      { type: 'conversation.item.input_audio_transcription.delta', ...place, delta: ' quick' },
      { type: 'conversation.item.input_audio_transcription.delta', ...place, delta: ' fox' },
      {
        type: 'conversation.item.done',
        previous_item_id: null,
        item: { ...item, content: [{ type: 'input_audio', transcript: 'the quick fox' }] },
      },
      {
        type: 'conversation.item.input_audio_transcription.completed',
        ...place,
        transcript: 'the quick fox',
        usage: { type: 'duration', seconds: 2.6 },
      },
    ]);
    expect(new Set(told.map(({ event_id }) => event_id)).size).toBe(told.length);
  });

  it('names the item before each', () => {
    const codec = greeted();
    const commit = (utteranceId: string) =>
      wire(codec, {
        kind: 'committed',
        utteranceId,
        fromSample: 0,
        toSample: 1,
        cause: 'client',
      })[0];
    expect(commit('a')).toMatchObject({ previous_item_id: null });
    expect(commit('b')).toMatchObject({ previous_item_id: 'a' });
  });

  it('is no error when an utterance fails, or for anything but mistakes and the end', () => {
    const codec = greeted();
    const failed = wire(codec, {
      kind: 'failed',
      utteranceId: 'u',
      error: new VoiceError('asr_timeout'),
    });
    expect(failed.map(({ type }) => type)).toEqual([
      'conversation.item.done',
      'conversation.item.input_audio_transcription.failed',
    ]);
    const silent: SessionEvent[] = [
      { kind: 'error', error: new VoiceError('worker_lost') },
      {
        kind: 'dropped',
        utteranceId: 'u',
        samples: 1,
        maxBacklogSamples: 1,
        source: 'pending_buffer',
      },
      { kind: 'warning', limit: 'session_seconds', used: 1, max: 2 },
      { kind: 'shutdown', graceMs: 1 },
      { kind: 'quiet', sample: 1 },
      { kind: 'ended' },
    ];
    expect(silent.flatMap((event) => wire(codec, event))).toEqual([]);
  });

  it('names the event of the client that was wrong', () => {
    const codec = greeted();
    decode(codec, { type: 'input_audio_buffer.commit', event_id: 'mine' });
    const [told] = wire(codec, { kind: 'error', error: new VoiceError('empty_commit') });
    expect(told).toMatchObject({
      error: {
        type: 'invalid_request_error',
        code: 'input_audio_buffer_commit_empty',
        param: null,
        event_id: 'mine',
      },
    });
  });

  it('names no event in an error of a frame that was not read', () => {
    const codec = greeted();
    decode(codec, { type: 'input_audio_buffer.clear', event_id: 'before' });
    codec.unread();
    const [told] = wire(codec, { kind: 'error', error: new VoiceError('message_too_large') });
    expect(told).toMatchObject({ error: { code: 'message_too_large' } });
    expect(told).not.toHaveProperty('error.event_id');
  });

  it('takes an update back that cannot be had', () => {
    const codec = greeted();
    update(codec, { transcription: { model: 'other' }, turn_detection: null });
    wire(codec, { kind: 'error', error: new VoiceError('unsupported_model') });
    update(codec, {});
    expect(updated(codec)).toMatchObject({
      session: { audio: { input: { turn_detection: { type: 'server_vad' } } } },
    });
  });

  it('takes no update back that is in force, when a later frame is too large to be read', () => {
    const codec = greeted();
    update(codec, { format: { type: 'audio/pcm', rate: 16_000 } });
    updated(codec);
    wire(codec, { kind: 'error', error: new VoiceError('message_too_large') });
    const pcm = Buffer.alloc(640, 7);
    expect(append(codec, pcm)).toEqual(pcm);
  });

  it('throws nothing but a mistake, whatever JSON comes, and tells it in a frame of the schema', () => {
    const json = fc.jsonValue();
    const frame = fc.record(
      {
        type: fc.oneof(
          fc.constantFrom(
            'session.update',
            'transcription_session.update',
            'input_audio_buffer.append',
            'input_audio_buffer.commit',
            'input_audio_buffer.clear',
            'response.create',
            'conversation.item.create',
          ),
          json,
        ),
        event_id: json,
        audio: json,
        session: fc.oneof(
          json,
          fc.record(
            {
              type: json,
              instructions: json,
              audio: fc.record({
                input: fc.oneof(
                  json,
                  fc.record({ format: json, turn_detection: json, transcription: json }),
                ),
                output: json,
              }),
            },
            { requiredKeys: [] },
          ),
        ),
        response: json,
        item: json,
      },
      { requiredKeys: [] },
    );
    fc.assert(
      fc.property(fc.oneof(frame, json), (value) => {
        const codec = greeted();
        try {
          expect(decode(codec, value)).toHaveProperty('kind');
        } catch (error) {
          if (!(error instanceof VoiceError)) throw error;
          expect(error.tier).toBe('client_mistake');
          expect(wire(codec, { kind: 'error', error })).toHaveLength(1);
        }
        expect(wire(codec, { kind: 'created', session })).toHaveLength(1);
      }),
      { numRuns: 300 },
    );
  });

  it('closes so that clients dial again where that helps', () => {
    const codec = greeted();
    const failed = (code: ErrorCode) =>
      codec.close({ kind: 'error', error: new VoiceError(code) }).code;
    expect(codec.close({ kind: 'ended' }).code).toBe(1000);
    expect(codec.close({ kind: 'shutdown' }).code).toBe(1012);
    expect(codec.close({ kind: 'max-duration' }).code).toBe(1012);
    expect(failed('key_revoked')).toBe(1008);
    expect(failed('fleet_unavailable')).toBe(1012);
    expect(failed('internal')).toBe(1011);
    expect(ERRORS.key_revoked.tier).toBe('fatal');
  });
});
