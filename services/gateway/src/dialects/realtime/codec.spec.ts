import { describe, expect, it } from '@jest/globals';
import { VoiceError } from '@voice-fleet/protocol/errors';
import type { ClientCommand, SessionEvent } from '@voice-fleet/protocol/session';
import { VllmServerEvent } from '@voice-fleet/protocol/vllm-realtime';
import { realtimeDialect } from './dialect.ts';

type Codec = ReturnType<typeof realtimeDialect.codec>;

const session = { id: 'sess_1', model: 'served', createdAtS: 1_700_000_000 };
const usage = { promptTokens: 3, completionTokens: 2 };
const PCM = Buffer.from([1, 2, 3, 4]);
const APPEND = { type: 'input_audio_buffer.append', audio: PCM.toString('base64') };
const VLLM_UPDATE = { type: 'session.update', model: 'm' };
const OPENAI_UPDATE = { type: 'session.update', session: { type: 'transcription' } };

function open(query = '', headers: Record<string, string> = {}): Codec {
  return realtimeDialect.codec(new URLSearchParams(query), headers);
}

function decode(codec: Codec, frame: unknown): readonly ClientCommand[] {
  const command = codec.decode(Buffer.from(JSON.stringify(frame)), false);
  return command.kind === 'several' ? command.commands : [command];
}

const word = (text: string) => ({ text, startSample: 0, endSample: 1 });

function encode(codec: Codec, event: SessionEvent): Record<string, unknown>[] {
  return codec.encode(event).map((text) => JSON.parse(text) as Record<string, unknown>);
}

/** How it tells of a final: that shows whom it takes its client for. */
function speaks(codec: Codec): string {
  encode(codec, {
    kind: 'committed',
    utteranceId: 'u',
    fromSample: 0,
    toSample: 1,
    cause: 'client',
  });
  const told = encode(codec, {
    kind: 'transcribed',
    utteranceId: 'u',
    text: 'a',
    words: [],
    usage,
  });
  return told.at(-1)?.['type'] === 'transcription.done' ? 'vllm' : 'openai';
}

describe('the two protocols of /v1/realtime', () => {
  it.each([
    ['intent=transcription', {}],
    ['call_id=c', {}],
    ['dialect=openai', {}],
    ['', { 'sec-websocket-protocol': 'realtime, openai-insecure-api-key.k' }],
    ['', { 'openai-beta': 'realtime=v1' }],
    ['', { 'user-agent': 'OpenAI/JS 7.55.0' }],
    ['model=m', { 'user-agent': 'LiveKit Agents JS' }],
    ['', { 'user-agent': 'Agents/JavaScript 0.20.0' }],
  ])('are told apart by a request with %j and %j', (query, headers) => {
    const codec = open(query, headers);
    expect(encode(codec, { kind: 'created', session })[0]).not.toHaveProperty('created');
    expect(speaks(codec)).toBe('openai');
  });

  it('may be named by the client', () => {
    const codec = open('dialect=vllm', { 'user-agent': 'OpenAI/JS 7.55.0' });
    expect(encode(codec, { kind: 'created', session })).toEqual([
      { type: 'session.created', id: 'sess_1', created: 1_700_000_000 },
    ]);
    expect(codec.opening).toEqual({ kind: 'listen', options: {} });
  });

  it('have one greeting', () => {
    expect(encode(open('model=m'), { kind: 'created', session })).toEqual([
      {
        type: 'session.created',
        event_id: expect.any(String),
        id: 'sess_1',
        created: 1_700_000_000,
        session: expect.objectContaining({ type: 'transcription' }),
      },
    ]);
  });

  it.each([
    ['openai', OPENAI_UPDATE],
    ['openai', { ...APPEND, event_id: 'e' }],
    ['openai', { type: 'input_audio_buffer.clear' }],
    ['openai', { type: 'transcription_session.update', session: {} }],
    ['openai', { type: 'response.create' }],
    ['vllm', VLLM_UPDATE],
    ['vllm', { type: 'input_audio_buffer.commit', final: true }],
    ['vllm', { type: 'input_audio_buffer.commit' }],
  ])('are told apart: %s begins with %j', (dialect, frame) => {
    const codec = open();
    decode(codec, frame);
    expect(speaks(codec)).toBe(dialect);
  });

  it('stay what they were, whatever comes later', () => {
    const codec = open();
    decode(codec, VLLM_UPDATE);
    expect(() => decode(codec, OPENAI_UPDATE)).toThrow(VoiceError);
    expect(speaks(codec)).toBe('vllm');
  });

  it('lose no audio that came before it was clear', () => {
    const codec = open();
    expect(decode(codec, APPEND)).toEqual([{ kind: 'ignore' }]);
    const audio = { kind: 'audio', utteranceId: undefined, pcm: PCM };
    expect(decode(codec, { type: 'input_audio_buffer.commit', final: true })).toEqual([
      { kind: 'listen', options: {} },
      audio,
      { kind: 'finalize', utteranceId: undefined },
    ]);
    const other = open();
    decode(other, APPEND);
    decode(other, { type: 'input_audio_buffer.commit' });
    expect(speaks(other)).toBe('openai');
  });

  it('lose no audio to a frame that is not valid, be it audio itself', () => {
    const codec = open();
    decode(codec, APPEND);
    expect(() => decode(codec, { ...APPEND, audio: '?' })).toThrow(VoiceError);
    const final = { type: 'input_audio_buffer.commit', final: 'x' };
    expect(() => decode(codec, final)).toThrow(VoiceError);
    expect(decode(codec, VLLM_UPDATE)).toContainEqual({
      kind: 'audio',
      utteranceId: undefined,
      pcm: PCM,
    });
  });

  it('are no longer waited for after two seconds of audio', () => {
    const codec = open();
    const audio = Buffer.alloc(4_800).toString('base64');
    let frames = 0;
    for (let held = true; held; frames += 1)
      held = decode(codec, { ...APPEND, audio })[0]?.kind === 'ignore';
    expect(frames).toBe(21);
    expect(speaks(codec)).toBe('openai');
  });

  it('are not settled by a frame that is not valid', () => {
    const codec = open();
    expect(() => decode(codec, { type: 'input_audio_buffer.commit', final: 'x' })).toThrow(
      VoiceError,
    );
    expect(() => decode(codec, 7)).toThrow(VoiceError);
    const [told] = encode(codec, { kind: 'error', error: new VoiceError('invalid_message') });
    expect(told).toMatchObject({ error: { code: 'invalid_message' } });
    decode(codec, OPENAI_UPDATE);
    expect(speaks(codec)).toBe('openai');
  });
});

describe('a session of vLLM', () => {
  function vllm(): Codec {
    return open('dialect=vllm');
  }
  function told(codec: Codec, events: readonly SessionEvent[]): VllmServerEvent[] {
    return events.flatMap((event) =>
      codec.encode(event).map((text) => VllmServerEvent.parse(JSON.parse(text))),
    );
  }

  it('is told its words and their text, also if it was cut for its length', () => {
    const codec = vllm();
    const facts = { fromSample: 0, toSample: 1 };
    expect(
      told(codec, [
        { kind: 'heard', utteranceId: 'a', words: [word(' one')], tail: '' },
        { kind: 'committed', utteranceId: 'a', ...facts, cause: 'length' },
        {
          kind: 'transcribed',
          utteranceId: 'a',
          text: 'one two',
          words: [word(' one'), word(' two')],
          usage,
        },
        { kind: 'committed', utteranceId: 'b', ...facts, cause: 'client' },
        { kind: 'transcribed', utteranceId: 'b', text: 'three', words: [word('three')], usage },
      ]),
    ).toEqual([
      { type: 'transcription.delta', delta: ' one' },
      { type: 'transcription.delta', delta: ' two' },
      { type: 'transcription.delta', delta: ' three' },
      {
        type: 'transcription.done',
        text: ' one two three',
        usage: { prompt_tokens: 6, completion_tokens: 4, total_tokens: 10 },
      },
    ]);
  });

  it('hears nothing where nothing was said', () => {
    expect(told(vllm(), [{ kind: 'error', error: new VoiceError('empty_commit') }])).toMatchObject([
      { type: 'transcription.done', text: '' },
    ]);
  });

  it.each([
    [{ type: 'input_audio_buffer.clear' }, 'unknown_event'],
    [{ type: 'session.update' }, 'invalid_event'],
    [{ type: 'input_audio_buffer.append', audio: '%' }, 'invalid_audio'],
  ])('is told of %j as vLLM tells it', (frame, code) => {
    const codec = vllm();
    let thrown: unknown;
    try {
      decode(codec, frame);
    } catch (error) {
      thrown = error;
    }
    if (!(thrown instanceof VoiceError)) throw new Error('no VoiceError');
    expect(told(codec, [{ kind: 'error', error: thrown }])).toMatchObject([
      { type: 'error', error: expect.any(String), code },
    ]);
  });

  it('begins with a commit and ends with a final one', () => {
    const codec = vllm();
    expect(decode(codec, VLLM_UPDATE)).toEqual([{ kind: 'listen', options: { model: 'm' } }]);
    expect(decode(codec, { type: 'input_audio_buffer.commit' })).toEqual([{ kind: 'ignore' }]);
    expect(decode(codec, APPEND)).toMatchObject([{ kind: 'audio', pcm: PCM }]);
    expect(decode(codec, { type: 'input_audio_buffer.commit', final: true })).toMatchObject([
      { kind: 'finalize' },
    ]);
  });
});
