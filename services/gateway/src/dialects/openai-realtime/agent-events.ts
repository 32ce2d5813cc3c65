import type { ConversationItem, ReplyOutcome, SessionEvent } from '@voice-fleet/protocol/session';
import { ReplyAudio, type ReplyFormat } from './agent-audio.ts';

/** A server event without its `event_id`, which the codec gives it. Optional fields are left out, never null. */
export type WireEvent = { readonly type: string } & Readonly<Record<string, unknown>>;

/** How replies are told: of the session's configuration. */
export interface ReplyManner {
  readonly format: ReplyFormat;
  readonly voice: string | undefined;
}

type Began = Extract<SessionEvent, { kind: 'reply-began' }>;
type Ended = Extract<SessionEvent, { kind: 'reply-ended' }>;

/** A reply has one item, and that one part. */
const PLACE = { output_index: 0, content_index: 0 } as const;
const STATUS: Readonly<Record<ReplyOutcome, string>> = {
  completed: 'completed',
  cancelled: 'cancelled',
  interrupted: 'cancelled',
  failed: 'failed',
};

/** What is told of conversations and their replies, in OpenAI's words. One for each connection. */
export class AgentEncoder {
  manner: ReplyManner;
  /** What the client gave with its `response.create`, for the reply that it asked for. */
  metadata: Readonly<Record<string, unknown>> | undefined;
  readonly #conversationId: string;
  #reply: Reply | undefined;

  constructor(conversationId: string, manner: ReplyManner) {
    this.#conversationId = conversationId;
    this.manner = manner;
  }

  /** Undefined: the event is none of an agent's. */
  encode(event: SessionEvent): WireEvent[] | undefined {
    switch (event.kind) {
      case 'reply-began': {
        this.#reply = new Reply(event, this.#conversationId, this.manner, this.metadata);
        this.metadata = undefined;
        return this.#reply.begin();
      }
      case 'token':
        return this.#reply?.token(event.text) ?? [];
      case 'speech':
        return this.#reply?.speech(event.audio) ?? [];
      case 'reply-ended': {
        const told = this.#reply?.end(event) ?? [];
        this.#reply = undefined;
        return told;
      }
      case 'item-added': {
        const { item, previousId } = event;
        const added = { ...after(previousId), item: wireItem(item) };
        return [
          { type: 'conversation.item.added', ...added },
          { type: 'conversation.item.done', ...added },
        ];
      }
      case 'item-truncated': {
        const { itemId: item_id, audioMs: audio_end_ms } = event;
        return [{ type: 'conversation.item.truncated', item_id, content_index: 0, audio_end_ms }];
      }
      case 'item-deleted':
        return [{ type: 'conversation.item.deleted', item_id: event.itemId }];
      case 'item':
        return [{ type: 'conversation.item.retrieved', item: wireItem(event.item) }];
      default:
        return undefined;
    }
  }
}

/** One reply under way. */
class Reply {
  readonly #began: Began;
  readonly #conversationId: string;
  readonly #manner: ReplyManner;
  readonly #metadata: Readonly<Record<string, unknown>> | undefined;
  readonly #audio: ReplyAudio;
  /** Names it in each event. */
  readonly #ids: { readonly response_id: string; readonly item_id: string };

  constructor(
    began: Began,
    conversationId: string,
    manner: ReplyManner,
    metadata: Readonly<Record<string, unknown>> | undefined,
  ) {
    this.#began = began;
    this.#conversationId = conversationId;
    this.#manner = manner;
    this.#metadata = metadata;
    this.#audio = new ReplyAudio(manner.format);
    this.#ids = { response_id: began.replyId, item_id: began.itemId };
  }

  begin(): WireEvent[] {
    const item = this.#item('in_progress');
    const { response_id } = this.#ids;
    return [
      { type: 'response.created', response: this.#response('in_progress', []) },
      { type: 'response.output_item.added', response_id, output_index: 0, item },
      { type: 'conversation.item.added', ...after(this.#began.afterId), item },
      { type: 'response.content_part.added', ...this.#ids, ...PLACE, part: this.#part('') },
    ];
  }

  token(delta: string): WireEvent[] {
    if (delta === '') return [];
    return [{ type: this.#textType('delta'), ...this.#ids, ...PLACE, delta }];
  }

  speech(audio: string): WireEvent[] {
    return this.#heard(this.#audio.push(audio));
  }

  end({ outcome, text, error }: Ended): WireEvent[] {
    const item = this.#item(outcome === 'completed' ? 'completed' : 'incomplete', text);
    const { speak, afterId } = this.#began;
    const ids = this.#ids;
    const { response_id } = ids;
    const whole = speak ? { transcript: text } : { text };
    const spoken: WireEvent[] = speak
      ? [{ type: 'response.output_audio.done', ...ids, ...PLACE }]
      : [];
    return [
      ...(outcome === 'completed' ? this.#heard(this.#audio.flush()) : []),
      ...spoken,
      { type: this.#textType('done'), ...ids, ...PLACE, ...whole },
      { type: 'response.content_part.done', ...ids, ...PLACE, part: this.#part(text) },
      { type: 'conversation.item.done', ...after(afterId), item },
      { type: 'response.output_item.done', response_id, output_index: 0, item },
      {
        type: 'response.done',
        response: {
          ...this.#response(STATUS[outcome], [item]),
          status_details: statusDetails(outcome, error),
        },
      },
    ];
  }

  #heard(pieces: readonly string[]): WireEvent[] {
    return pieces.map((delta) => ({
      type: 'response.output_audio.delta',
      ...this.#ids,
      ...PLACE,
      delta,
    }));
  }

  #textType(moment: 'delta' | 'done'): string {
    const kind = this.#began.speak ? 'output_audio_transcript' : 'output_text';
    return `response.${kind}.${moment}`;
  }

  #part(text: string): object {
    return this.#began.speak ? { type: 'audio', transcript: text } : { type: 'text', text };
  }

  #item(status: 'in_progress' | 'completed' | 'incomplete', text?: string): object {
    const { itemId: id, speak: spoken } = this.#began;
    const role = 'assistant';
    if (text === undefined) return { ...message(id, role, status), content: [] };
    return { ...message(id, role, status), content: [content({ role, spoken, text })] };
  }

  #response(status: string, output: readonly object[]): object {
    const { format, voice } = this.#manner;
    return {
      object: 'realtime.response',
      id: this.#began.replyId,
      status,
      output,
      conversation_id: this.#conversationId,
      output_modalities: [this.#began.speak ? 'audio' : 'text'],
      max_output_tokens: 'inf',
      audio: { output: { format, ...(voice !== undefined && { voice }) } },
      ...(this.#metadata && { metadata: this.#metadata }),
    };
  }
}

function statusDetails(outcome: ReplyOutcome, error: Ended['error']): object {
  switch (outcome) {
    case 'completed':
      return { type: 'completed' };
    case 'cancelled':
      return { type: 'cancelled', reason: 'client_cancelled' };
    case 'interrupted':
      return { type: 'cancelled', reason: 'turn_detected' };
    case 'failed': {
      const { code = 'llm_failed', message = '' } = error ?? {};
      return { type: 'failed', error: { type: 'server_error', code, message } };
    }
  }
}

/** A conversation item as it is told. */
export function wireItem(item: ConversationItem): object {
  const { id, role, complete } = item;
  const status = complete ? 'completed' : 'incomplete';
  return { ...message(id, role, status), content: [content(item)] };
}

function message(id: string, role: ConversationItem['role'], status: string): object {
  return { id, object: 'realtime.item', type: 'message', status, role };
}

function content({ role, spoken, text }: Pick<ConversationItem, 'role' | 'spoken' | 'text'>) {
  const side = role === 'assistant' ? 'output' : 'input';
  return spoken ? { type: `${side}_audio`, transcript: text } : { type: `${side}_text`, text };
}

/** Null says that nothing is before it. */
function after(previousId: string | undefined): { readonly previous_item_id: string | null } {
  return { previous_item_id: previousId ?? null };
}
