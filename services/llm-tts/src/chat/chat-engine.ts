import type { ReplyMode } from '@voice-fleet/protocol/chunk';

/** One reply to make. Nothing of earlier ones goes into it. */
export interface ChatTask {
  /** A WAV file, mono PCM16 at 16 kHz. */
  readonly wav: Buffer;
  readonly mode: ReplyMode;
  readonly maxTokens: number;
  readonly temperature: number;
  readonly topP: number;
}

/** A chat model that takes audio. */
export interface ChatEngine {
  readonly model: string;
  /** Pieces of the reply as they come. Ends all that it began as soon as the signal aborts. Throws ChatFault. */
  reply(task: ChatTask, signal: AbortSignal): AsyncIterable<string>;
}

/** A reply that could not be made. The message may be shown to clients. */
export class ChatFault extends Error {
  override readonly name = 'ChatFault';
}
