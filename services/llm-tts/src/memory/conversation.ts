import { conversationKey } from '@voice-fleet/fleet/keys';
import { redisFault } from '@voice-fleet/fleet/redis';
import type { Redis } from 'ioredis';
import { z } from 'zod';
import type { ChatMessage } from '../llm/engine.ts';

/** One turn as it is remembered: never a question without its answer. */
const Exchange = z.object({ user: z.string(), assistant: z.string() });
export type Exchange = z.infer<typeof Exchange>;

/** What was said earlier. Neither method throws: a turn goes on without memory. */
export interface Conversation {
  /** Oldest first, in pairs of user and assistant. */
  recall(tenant: string, conversation: string): Promise<readonly ChatMessage[]>;
  remember(tenant: string, conversation: string, exchange: Exchange): Promise<void>;
}

/** Turns that are kept of a conversation; what is older is never sent. */
export const KEPT_TURNS = 5;

export interface ConversationOptions {
  readonly redis: Redis;
  /** A conversation is forgotten so long after its last turn. */
  readonly ttlMs: number;
  readonly onFault: (step: 'recall' | 'remember', error: unknown) => void;
}

/** Conversations in Redis, which is the only place their text is kept in. */
export class RedisConversation implements Conversation {
  readonly #options: ConversationOptions;

  constructor(options: ConversationOptions) {
    this.#options = options;
  }

  async recall(tenant: string, conversation: string): Promise<readonly ChatMessage[]> {
    const { redis, onFault } = this.#options;
    let kept: readonly string[];
    try {
      kept = await redis.lrange(conversationKey(tenant, conversation), -KEPT_TURNS, -1);
    } catch (error) {
      onFault('recall', redisFault(error));
      return [];
    }
    try {
      return kept.flatMap(messagesOf);
    } catch {
      // Not the error itself, which quotes what was said.
      onFault('recall', new Error('a turn that was remembered cannot be read'));
      return [];
    }
  }

  async remember(tenant: string, conversation: string, exchange: Exchange): Promise<void> {
    const { redis, ttlMs, onFault } = this.#options;
    const key = conversationKey(tenant, conversation);
    try {
      // Both messages are one element, so that neither is ever there alone.
      const replies = await redis
        .multi()
        .rpush(key, JSON.stringify(exchange))
        .ltrim(key, -KEPT_TURNS, -1)
        .pexpire(key, ttlMs)
        .exec();
      for (const [error] of replies ?? []) if (error) throw error;
    } catch (error) {
      onFault('remember', redisFault(error));
    }
  }
}

function messagesOf(json: string): ChatMessage[] {
  const { user, assistant } = Exchange.parse(JSON.parse(json));
  return [
    { role: 'user', content: user },
    { role: 'assistant', content: assistant },
  ];
}
