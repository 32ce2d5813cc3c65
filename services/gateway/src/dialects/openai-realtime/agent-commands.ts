import { randomBytes } from 'node:crypto';
import { VoiceError } from '@voice-fleet/protocol/errors';
import type { AgentCommand, AgentOptions, ConversationItem } from '@voice-fleet/protocol/session';
import { z } from 'zod';

const Id = z.string().min(1).max(200);
const Modalities = z.array(z.string()).max(4);
/** A voice of its own is named by its id. */
const Voice = z.union([z.string(), z.looseObject({ id: z.string() })]);

/** What of a session's configuration is about its replies; everything else is the codec's, or let be. */
export const ReplyConfig = z.looseObject({
  instructions: z.string().nullish(),
  output_modalities: Modalities.nullish(),
  audio: z
    .looseObject({
      output: z.looseObject({ voice: Voice.nullish() }).nullish(),
      input: z
        .looseObject({
          turn_detection: z
            .looseObject({
              create_response: z.boolean().nullish(),
              interrupt_response: z.boolean().nullish(),
            })
            .nullish(),
        })
        .nullish(),
    })
    .nullish(),
});
export type ReplyConfig = z.infer<typeof ReplyConfig>;

const ResponseCreate = z.looseObject({
  type: z.literal('response.create'),
  response: z
    .looseObject({
      conversation: z.string().nullish(),
      instructions: z.string().nullish(),
      output_modalities: Modalities.nullish(),
      audio: z
        .looseObject({ output: z.looseObject({ voice: Voice.nullish() }).nullish() })
        .nullish(),
      metadata: z.record(z.string(), z.string().max(512)).nullish(),
    })
    .nullish(),
});

const Content = z.looseObject({
  type: z.string(),
  text: z.string().nullish(),
  transcript: z.string().nullish(),
});

const ItemCreate = z.looseObject({
  type: z.literal('conversation.item.create'),
  previous_item_id: Id.nullish(),
  item: z.looseObject({
    id: Id.nullish(),
    type: z.string().default('message'),
    role: z.enum(['user', 'assistant', 'system']).nullish(),
    status: z.string().nullish(),
    content: z.array(Content).max(64).nullish(),
  }),
});

/** Frames that only sessions take whose utterances are answered. */
export const AgentFrame = z.discriminatedUnion('type', [
  ResponseCreate,
  z.looseObject({ type: z.literal('response.cancel') }),
  ItemCreate,
  z.looseObject({ type: z.literal('conversation.item.retrieve'), item_id: Id }),
  z.looseObject({ type: z.literal('conversation.item.delete'), item_id: Id }),
  z.looseObject({
    type: z.literal('conversation.item.truncate'),
    item_id: Id,
    audio_end_ms: z.number().nonnegative(),
  }),
]);
export type AgentFrame = z.infer<typeof AgentFrame>;

export const AGENT_FRAMES: ReadonlySet<string> = new Set<AgentFrame['type']>([
  'response.create',
  'response.cancel',
  'conversation.item.create',
  'conversation.item.retrieve',
  'conversation.item.delete',
  'conversation.item.truncate',
]);

/** What a frame asks for. Throws VoiceError `invalid_message` for what is not offered. */
export function agentCommandOf(frame: AgentFrame): AgentCommand {
  switch (frame.type) {
    case 'response.create':
      return respond(frame.response ?? {});
    case 'response.cancel':
      return { kind: 'stop-reply' };
    case 'conversation.item.create':
      return {
        kind: 'add-item',
        item: itemOf(frame.item),
        previousId: frame.previous_item_id ?? undefined,
      };
    case 'conversation.item.retrieve':
      return { kind: 'retrieve-item', itemId: frame.item_id };
    case 'conversation.item.delete':
      return { kind: 'delete-item', itemId: frame.item_id };
    case 'conversation.item.truncate':
      return { kind: 'truncate-item', itemId: frame.item_id, audioMs: frame.audio_end_ms };
  }
}

/** How the utterances of a session with this configuration are answered. */
export function agentOptionsOf({
  instructions,
  output_modalities,
  audio,
}: ReplyConfig): AgentOptions {
  const detection = audio?.input?.turn_detection;
  const voice = voiceOf(audio?.output?.voice);
  return {
    speak: speaks(output_modalities) ?? true,
    // Who ends utterances himself says when he wants an answer, and breaks it off himself.
    autoRespond: detection ? detection.create_response !== false : false,
    bargeIn: detection ? detection.interrupt_response !== false : false,
    ...(instructions && { instructions }),
    ...(voice !== undefined && { voice }),
  };
}

function respond(wish: NonNullable<z.infer<typeof ResponseCreate>['response']>): AgentCommand {
  if (wish.conversation === 'none')
    throw new VoiceError('invalid_message', {
      message:
        'Responses outside of the conversation are not offered here. Leave out `conversation`.',
    });
  const speak = speaks(wish.output_modalities);
  const voice = voiceOf(wish.audio?.output?.voice);
  return {
    kind: 'respond',
    options: {
      ...(wish.instructions && { instructions: wish.instructions }),
      ...(speak !== undefined && { speak }),
      ...(voice !== undefined && { voice }),
    },
  };
}

function itemOf(item: z.infer<typeof ItemCreate>['item']): ConversationItem {
  if (item.type !== 'message')
    throw new VoiceError('invalid_message', {
      message: 'Items must be messages here: tools are not called.',
    });
  const parts = item.content ?? [];
  const texts = parts.map(({ text, transcript }) => text ?? transcript ?? undefined);
  if (texts.length === 0 || texts.includes(undefined))
    throw new VoiceError('invalid_message', {
      message: 'An item needs text. To have audio transcribed, append it to the input buffer.',
    });
  return {
    id: item.id ?? `item_${randomBytes(12).toString('hex')}`,
    role: item.role ?? 'user',
    text: texts.join(' '),
    spoken: parts.some(({ type }) => type === 'input_audio' || type === 'output_audio'),
    complete: item.status !== 'incomplete',
  };
}

function speaks(modalities: readonly string[] | null | undefined): boolean | undefined {
  return modalities ? modalities.includes('audio') : undefined;
}

function voiceOf(voice: z.infer<typeof Voice> | null | undefined): string | undefined {
  return typeof voice === 'object' ? voice?.id : voice;
}
