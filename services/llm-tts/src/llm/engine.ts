export interface ChatMessage {
  readonly role: 'system' | 'user' | 'assistant';
  readonly content: string;
}

/** Who answers, as metrics may tell it. */
export const MODEL_LABELS = ['builtin-rules', 'remote'] as const;
export type ModelLabel = (typeof MODEL_LABELS)[number];

export interface LlmModel {
  /** Its name, as replies tell it; `builtin-rules` is no model. */
  readonly model: string;
  readonly label: ModelLabel;
}

export interface StreamOptions {
  /** Called before the first token when somebody else than the engine itself answers. */
  readonly onModel?: (model: LlmModel) => void;
}

/** What answers a conversation, token by token. */
export interface LlmEngine extends LlmModel {
  readonly name: string;
  /**
   * The reply to the last message. Tokens are never empty; joined they are the reply. Throws `llm_failed` when the reply will
   * not be whole. Ends or throws soon after `signal` aborts, and by then has let go of its connection.
   */
  stream(
    messages: readonly ChatMessage[],
    options: StreamOptions,
    signal: AbortSignal,
  ): AsyncIterable<string>;
}
