import { describe, expect, it } from '@jest/globals';
import { VoiceError } from '@voice-fleet/protocol/errors';
import fc from 'fast-check';
import {
  AGENT_FRAMES,
  AgentFrame,
  agentCommandOf,
  agentOptionsOf,
  ReplyConfig,
} from './agent-commands.ts';

const command = (frame: object) => agentCommandOf(AgentFrame.parse(frame));
const create = (item: object, more: object = {}) =>
  command({ type: 'conversation.item.create', item, ...more });

describe('what OpenAI clients ask of an agent', () => {
  it('asks for replies, with or without wishes', () => {
    expect(command({ type: 'response.create' })).toEqual({ kind: 'respond', options: {} });
    const audio = { output: { voice: { id: 'kal' } } };
    const wish = { instructions: 'Now.', output_modalities: ['text'], audio, tools: [] };
    expect(command({ type: 'response.create', event_id: 'e', response: wish })).toEqual({
      kind: 'respond',
      options: { instructions: 'Now.', speak: false, voice: 'kal' },
    });
    expect(command({ type: 'response.cancel', response_id: 'r' })).toEqual({ kind: 'stop-reply' });
  });

  it('refuses what is not offered with a reason', () => {
    const refused: [() => unknown, string][] = [
      [
        () => command({ type: 'response.create', response: { conversation: 'none' } }),
        'outside of the conversation',
      ],
      [() => create({ type: 'function_call_output', output: '1' }), 'tools are not called'],
      [() => create({ type: 'message', role: 'user', content: [] }), 'needs text'],
      [
        () => create({ role: 'user', content: [{ type: 'input_audio', audio: 'AA==' }] }),
        'append it to the input buffer',
      ],
    ];
    for (const [ask, reason] of refused) expect(ask).toThrow(reason);
  });

  it('adds messages', () => {
    const content = [
      { type: 'input_text', text: 'One' },
      { type: 'input_text', text: 'two.' },
    ];
    expect(create({ id: 'a', type: 'message', role: 'system', content })).toEqual({
      kind: 'add-item',
      previousId: undefined,
      item: { id: 'a', role: 'system', text: 'One two.', spoken: false, complete: true },
    });
    const spoken = [{ type: 'output_audio', transcript: 'Yes' }];
    expect(
      create(
        { role: 'assistant', status: 'incomplete', content: spoken },
        { previous_item_id: 'root' },
      ),
    ).toEqual({
      kind: 'add-item',
      previousId: 'root',
      item: {
        id: expect.stringMatching(/^item_[0-9a-f]{24}$/),
        ...{ role: 'assistant', text: 'Yes', spoken: true, complete: false },
      },
    });
  });

  it('retrieves, deletes and truncates', () => {
    const item = (what: string, more: object = {}) =>
      command({ type: `conversation.item.${what}`, item_id: 'a', ...more });
    expect(item('retrieve')).toEqual({ kind: 'retrieve-item', itemId: 'a' });
    expect(item('delete')).toEqual({ kind: 'delete-item', itemId: 'a' });
    expect(item('truncate', { content_index: 0, audio_end_ms: 12.5 })).toEqual({
      kind: 'truncate-item',
      itemId: 'a',
      audioMs: 12.5,
    });
  });

  it.each<[object, object]>([
    [{}, { speak: true, autoRespond: false, bargeIn: false }],
    [
      { audio: { input: { turn_detection: { type: 'semantic_vad' } } } },
      { speak: true, autoRespond: true, bargeIn: true },
    ],
    [
      {
        instructions: 'Be brief.',
        output_modalities: ['text'],
        audio: {
          input: { turn_detection: { create_response: false, interrupt_response: false } },
          output: { voice: 'marin' },
        },
      },
      {
        ...{ speak: false, autoRespond: false, bargeIn: false },
        ...{ instructions: 'Be brief.', voice: 'marin' },
      },
    ],
    [
      { instructions: null, audio: { input: { turn_detection: null }, output: null } },
      { speak: true, autoRespond: false, bargeIn: false },
    ],
  ])('answers as the session %j says', (config, options) => {
    expect(agentOptionsOf(ReplyConfig.parse(config))).toEqual(options);
  });

  it('bears whatever comes', () => {
    const frame = fc.record(
      {
        type: fc.constantFrom(...AGENT_FRAMES),
        item_id: fc.option(fc.oneof(fc.string(), fc.integer())),
        audio_end_ms: fc.option(fc.double()),
        previous_item_id: fc.option(fc.string()),
        item: fc.option(fc.object()),
        response: fc.option(fc.object()),
      },
      { requiredKeys: ['type'] },
    );
    fc.assert(
      fc.property(frame, (value) => {
        const parsed = AgentFrame.safeParse(value);
        if (!parsed.success) return;
        try {
          agentCommandOf(parsed.data);
        } catch (error) {
          expect(error).toBeInstanceOf(VoiceError);
        }
      }),
    );
  });
});
