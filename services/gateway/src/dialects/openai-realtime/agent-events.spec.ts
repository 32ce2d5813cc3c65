import { describe, expect, it } from '@jest/globals';
import { VoiceError } from '@voice-fleet/protocol/errors';
import type { ReplyOutcome, SessionEvent } from '@voice-fleet/protocol/session';
import { writeWav } from '@voice-fleet/speech/wav';
import type { ReplyFormat } from './agent-audio.ts';
import { AgentEncoder, type WireEvent } from './agent-events.ts';

const PCM: ReplyFormat = { type: 'audio/pcm', rate: 24_000 };

function wav(ms: number, rate = 16_000): string {
  const pcm = Buffer.alloc((ms / 1000) * rate * 2);
  for (let at = 0; at < pcm.length; at += 2)
    pcm.writeInt16LE(Math.round(8_000 * Math.sin((at / 2 / rate) * 2 * Math.PI * 440)), at);
  return writeWav(pcm, rate).toString('base64');
}
const began = (speak = true): SessionEvent => ({
  kind: 'reply-began',
  replyId: 'resp_1',
  itemId: 'item_2',
  afterId: 'utt_1',
  speak,
});
const token = (text: string): SessionEvent => ({
  kind: 'token',
  utteranceId: 'resp_1',
  text,
  done: text === '',
});
const speech = (audio: string): SessionEvent => ({
  kind: 'speech',
  utteranceId: 'resp_1',
  seq: 0,
  audio,
  durationMs: 1,
});
const ended = (outcome: ReplyOutcome, text: string, error?: VoiceError): SessionEvent => ({
  kind: 'reply-ended',
  replyId: 'resp_1',
  itemId: 'item_2',
  text,
  outcome,
  ...(error && { error }),
});

describe('replies in the words of OpenAI', () => {
  function tell(events: SessionEvent[], format = PCM): WireEvent[] {
    const encoder = new AgentEncoder('conv_1', { format, voice: 'marin' });
    return events.flatMap((event) => encoder.encode(event) ?? []);
  }
  const types = (events: WireEvent[]): string[] =>
    events.map(({ type }) => type.replace('response.', ''));
  const audioOf = (events: WireEvent[]): Buffer =>
    Buffer.concat(
      events
        .filter(({ type }) => type === 'response.output_audio.delta')
        .map(({ delta }) => Buffer.from(String(delta), 'base64')),
    );

  it('tells a spoken reply from its creation to its end', () => {
    const events = tell([
      began(),
      token('Yes'),
      token('.'),
      speech(wav(200)),
      token(''),
      ended('completed', 'Yes.'),
    ]);
    expect(types(events)).toEqual([
      'created',
      'output_item.added',
      'conversation.item.added',
      'content_part.added',
      'output_audio_transcript.delta',
      'output_audio_transcript.delta',
      'output_audio.delta',
      'output_audio.delta',
      'output_audio.done',
      'output_audio_transcript.done',
      'content_part.done',
      'conversation.item.done',
      'output_item.done',
      'done',
    ]);
    const item = {
      ...{ id: 'item_2', object: 'realtime.item', type: 'message', role: 'assistant' },
      ...{ status: 'completed', content: [{ type: 'output_audio', transcript: 'Yes.' }] },
    };
    expect(events.at(-1)).toEqual({
      type: 'response.done',
      response: {
        ...{ object: 'realtime.response', id: 'resp_1', status: 'completed', output: [item] },
        ...{ conversation_id: 'conv_1', output_modalities: ['audio'], max_output_tokens: 'inf' },
        audio: { output: { format: PCM, voice: 'marin' } },
        status_details: { type: 'completed' },
      },
    });
    expect(events[2]).toMatchObject({ previous_item_id: 'utt_1', item: { content: [] } });
    const place = { response_id: 'resp_1', item_id: 'item_2', output_index: 0, content_index: 0 };
    for (const index of [3, 4, 6, 8, 9, 10]) expect(events[index]).toMatchObject(place);
  });

  it('tells a written reply as text', () => {
    const events = tell([began(false), token('Yes.'), ended('completed', 'Yes.')]);
    expect(types(events).slice(3)).toEqual([
      'content_part.added',
      'output_text.delta',
      'output_text.done',
      'content_part.done',
      'conversation.item.done',
      'output_item.done',
      'done',
    ]);
    expect(events[5]).toMatchObject({ text: 'Yes.' });
    expect(events[6]).toMatchObject({ part: { type: 'text', text: 'Yes.' } });
  });

  it.each<[ReplyOutcome, object]>([
    ['cancelled', { type: 'cancelled', reason: 'client_cancelled' }],
    ['interrupted', { type: 'cancelled', reason: 'turn_detected' }],
    [
      'failed',
      {
        type: 'failed',
        error: { type: 'server_error', code: 'llm_timeout', message: expect.any(String) },
      },
    ],
  ])('says why a reply is not whole: %s', (outcome, details) => {
    const error = outcome === 'failed' ? new VoiceError('llm_timeout') : undefined;
    const events = tell([began(), token('Ye'), ended(outcome, 'Ye', error)]);
    expect(events.at(-1)).toMatchObject({
      response: {
        status: outcome === 'failed' ? 'failed' : 'cancelled',
        status_details: details,
        output: [{ status: 'incomplete', content: [{ transcript: 'Ye' }] }],
      },
    });
  });

  it.each<[ReplyFormat, number]>([
    [PCM, 48_000],
    [{ type: 'audio/pcmu' }, 8_000],
    [{ type: 'audio/pcma' }, 8_000],
  ])('speaks as %j, all of it, whatever rate its phrases have', (format, bytesPerS) => {
    const events = tell(
      [
        began(),
        speech(wav(1_000)),
        speech(wav(700)),
        speech(wav(300, 22_050)),
        ended('completed', ''),
      ],
      format,
    );
    expect(audioOf(events)).toHaveLength(2 * bytesPerS);
    const deltas = events.filter(({ type }) => type === 'response.output_audio.delta');
    for (const { delta } of deltas)
      expect(Buffer.from(String(delta), 'base64').length).toBeLessThanOrEqual(bytesPerS / 2);
  });

  it('sounds as it was spoken', () => {
    const pcm = audioOf(tell([began(), speech(wav(500)), ended('completed', '')]));
    let error = 0;
    for (let sample = 2_400; sample < 9_600; sample += 1) {
      const wanted = 8_000 * Math.sin((sample / 24_000) * 2 * Math.PI * 440);
      error = Math.max(error, Math.abs(pcm.readInt16LE(2 * sample) - wanted));
    }
    expect(error).toBeLessThan(20);
  });

  it('leaves a phrase out that is no sound', () => {
    expect(audioOf(tell([began(), speech('QUJD'), ended('completed', '')]))).toHaveLength(0);
  });

  it('tells items of a conversation', () => {
    const item = { id: 'a', role: 'user', text: 'One.', spoken: true, complete: true } as const;
    expect(
      tell([
        { kind: 'item-added', item, previousId: undefined },
        { kind: 'item', item: { ...item, role: 'assistant', spoken: false, complete: false } },
        { kind: 'item-truncated', itemId: 'b', audioMs: 12 },
        { kind: 'item-deleted', itemId: 'c' },
      ]),
    ).toEqual([
      ...['added', 'done'].map((moment) => ({
        type: `conversation.item.${moment}`,
        previous_item_id: null,
        item: {
          ...{ id: 'a', object: 'realtime.item', type: 'message', role: 'user' },
          ...{ status: 'completed', content: [{ type: 'input_audio', transcript: 'One.' }] },
        },
      })),
      {
        type: 'conversation.item.retrieved',
        item: {
          ...{ id: 'a', object: 'realtime.item', type: 'message', role: 'assistant' },
          ...{ status: 'incomplete', content: [{ type: 'output_text', text: 'One.' }] },
        },
      },
      { type: 'conversation.item.truncated', item_id: 'b', content_index: 0, audio_end_ms: 12 },
      { type: 'conversation.item.deleted', item_id: 'c' },
    ]);
  });

  it('gives the metadata back with the reply that was asked for with them, and no other', () => {
    const encoder = new AgentEncoder('conv_1', { format: PCM, voice: undefined });
    encoder.metadata = { topic: 'weather' };
    const [first] = encoder.encode(began()) ?? [];
    const [second] = encoder.encode(began()) ?? [];
    expect(first).toMatchObject({ response: { metadata: { topic: 'weather' } } });
    expect(second?.['response']).not.toHaveProperty('metadata');
  });

  it('leaves all other events to the codec', () => {
    const encoder = new AgentEncoder('conv_1', { format: PCM, voice: undefined });
    expect(encoder.encode({ kind: 'pong' })).toBeUndefined();
    expect(encoder.encode(token('late'))).toEqual([]);
  });
});
