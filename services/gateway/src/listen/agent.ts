import { randomBytes } from 'node:crypto';
import { VoiceError } from '@voice-fleet/protocol/errors';
import type {
  AgentCommand,
  AgentOptions,
  ReplyOutcome,
  SessionEvent,
} from '@voice-fleet/protocol/session';
import type { SessionSink } from '../session/session-deps.ts';
import { MAX_TEXT_CHARS, Replies, replyError } from '../voice/replies.ts';
import type { ReplyEnd, TurnOutcome } from '../voice/turn.ts';
import { VoiceBooks } from '../voice/voice-books.ts';
import type { VoiceDeps } from '../voice/voice-deps.ts';
import type { PipelineOwner } from '../ws/pipeline.ts';
import { ConversationItems } from './conversation-items.ts';

const MAX_VOICE_CHARS = 100;

interface ActiveReply {
  readonly replyId: string;
  readonly itemId: string;
  text: string;
  spokenMs: number;
  /** What was told of in the reply itself. */
  error: VoiceError | undefined;
}

type RespondOptions = NonNullable<Extract<AgentCommand, { kind: 'respond' }>['options']>;

/** How a reply's end counts in the books. */
const BOOKED: Readonly<Record<ReplyOutcome, TurnOutcome>> = {
  completed: 'spoken',
  cancelled: 'cancelled',
  interrupted: 'barged_in',
  failed: 'failed',
};

export interface AgentListener extends Pick<SessionSink, 'event'> {
  /** A reply is over, and none follows at once. */
  idle(): void;
  /** While it does not settle, no more of a reply is read. */
  relief(): Promise<void> | undefined;
}

/** Answers the utterances of a listening session, one reply at a time, and keeps their conversation. */
export class Agent {
  options: AgentOptions;
  /** ISO 639-1, of the speaker. */
  language: string | undefined;
  readonly #listener: AgentListener;
  readonly #books: VoiceBooks;
  readonly #chronicle: PipelineOwner['chronicle'];
  readonly #replies: Replies;
  readonly #items = new ConversationItems();
  /** Utterances whose words are waited for. */
  readonly #awaited = new Set<string>();
  #reply: ActiveReply | undefined;
  /** The reply that comes next: when those words are there, and the reply under way is over. */
  #due: RespondOptions | undefined;

  constructor(
    sessionId: string,
    { tenantId, log, chronicle }: PipelineOwner,
    options: AgentOptions,
    deps: VoiceDeps,
    listener: AgentListener,
  ) {
    this.options = options;
    this.#listener = listener;
    this.#books = new VoiceBooks(deps.metrics.voice, log, false, chronicle);
    this.#chronicle = chronicle;
    const turns = chronicle.turns(deps.turns);
    this.#replies = new Replies(
      sessionId,
      tenantId,
      { ...deps, turns },
      {
        relief: () => listener.relief(),
        onEvent: (event) => this.#onEvent(event),
        onStarted: (model, tts) => this.#books.turnStarted(this.#reply?.replyId ?? '', model, tts),
        onEnd: (end) => this.#onEnd(end),
      },
    );
  }

  /** A reply is under way, or comes as soon as it can. */
  get busy(): boolean {
    return this.#reply !== undefined || this.#due !== undefined;
  }

  /** Throws VoiceError when the command is not allowed now. */
  apply(command: AgentCommand): void {
    switch (command.kind) {
      case 'respond':
        if (this.#reply !== undefined) throw new VoiceError('reply_active');
        return this.#respond(command.options ?? {});
      case 'stop-reply':
        this.#due = undefined;
        return this.#stop('cancelled');
      case 'truncate-item': {
        const { itemId, audioMs } = command;
        if (this.#reply?.itemId === itemId) this.#stop('cancelled');
        this.#items.truncate(itemId, audioMs);
        return this.#listener.event({ kind: 'item-truncated', itemId, audioMs });
      }
      case 'add-item': {
        const { item } = command;
        const previousId = this.#items.add(item, command.previousId);
        return this.#listener.event({ kind: 'item-added', item, previousId });
      }
      case 'delete-item': {
        const { itemId } = command;
        this.#items.delete(itemId);
        return this.#listener.event({ kind: 'item-deleted', itemId });
      }
      case 'retrieve-item': {
        const item = this.#items.get(command.itemId);
        return this.#listener.event({ kind: 'item', item });
      }
    }
  }

  /** A speaker is heard. */
  onSpeechBegan(): void {
    if (this.options.bargeIn) this.#stop('interrupted');
  }

  /** An utterance takes its place in the conversation before its words are there. */
  onCommitted(utteranceId: string): void {
    this.#awaited.add(utteranceId);
    this.#items.add({ id: utteranceId, role: 'user', text: '', spoken: true, complete: false });
  }

  /** `text` undefined: it came to nothing. */
  onOver(utteranceId: string, text: string | undefined): void {
    this.#awaited.delete(utteranceId);
    this.#items.settle(utteranceId, text ?? '', text !== undefined);
    const asked = this.#due ?? (this.options.autoRespond && text ? {} : undefined);
    if (asked) this.#respond(asked);
  }

  /** Tells nothing more; settles when nothing is done for any reply any more. */
  async stop(): Promise<void> {
    this.#due = undefined;
    if (this.#reply !== undefined) {
      this.#reply = undefined;
      this.#replies.abort();
      this.#books.turn('', 'gone');
    }
    await this.#replies.settled();
  }

  #respond(wish: RespondOptions): void {
    if (this.#reply !== undefined || this.#awaited.size > 0) {
      this.#due = wish;
      return;
    }
    this.#due = undefined;
    const { instructions, voice, speak } = { ...this.options, ...wish };
    const { language } = this;
    const question = this.#items.question();
    const reply = {
      replyId: newId('resp'),
      itemId: newId('item'),
      text: '',
      spokenMs: 0,
      error: undefined,
    };
    const { replyId, itemId: id } = reply;
    this.#reply = reply;
    const afterId = this.#items.add({
      id,
      role: 'assistant',
      text: '',
      spoken: speak,
      complete: false,
    });
    this.#listener.event({ kind: 'reply-began', replyId, itemId: id, afterId, speak });
    this.#replies.answer(replyId, {
      ...question,
      speak,
      // Clients play replies at their own pace, so none of it may be left out to keep up.
      live: false,
      ...(instructions && { instructions: instructions.slice(0, MAX_TEXT_CHARS) }),
      ...(voice && { voice: voice.slice(0, MAX_VOICE_CHARS) }),
      ...(language && { language }),
    });
  }

  #onEvent(event: SessionEvent): void {
    const reply = this.#reply;
    if (reply === undefined) return;
    switch (event.kind) {
      case 'token':
        reply.text += event.text;
        return this.#listener.event(event);
      case 'speech':
        reply.spokenMs += event.durationMs;
        return this.#listener.event(event);
      case 'error':
        this.#books.error(reply.replyId, event.error);
        // A phrase that cannot be spoken is left out.
        if (event.error.code.startsWith('llm_')) reply.error = event.error;
        return;
      default:
    }
  }

  #onEnd({ outcome, error }: ReplyEnd): void {
    const failure = error === undefined ? this.#reply?.error : replyError(error);
    this.#end(outcome === 'spoken' ? 'completed' : 'failed', failure);
    if (this.#due) this.#respond(this.#due);
    if (!this.busy) this.#listener.idle();
  }

  /** Ends the reply under way, if there is one. */
  #stop(outcome: 'cancelled' | 'interrupted'): void {
    if (this.#reply === undefined) return;
    this.#replies.abort();
    this.#end(outcome);
    if (!this.busy) this.#listener.idle();
  }

  #end(outcome: ReplyOutcome, error?: VoiceError): void {
    const reply = this.#reply;
    if (reply === undefined) return;
    this.#reply = undefined;
    const { replyId, itemId, text, spokenMs } = reply;
    this.#items.settle(itemId, text, outcome === 'completed', spokenMs);
    this.#books.turn(replyId, BOOKED[outcome]);
    if (error) this.#books.error(replyId, error);
    this.#chronicle.answered();
    const failure = outcome === 'failed' ? (error ?? new VoiceError('llm_failed')) : undefined;
    this.#listener.event({
      kind: 'reply-ended',
      replyId,
      itemId,
      text,
      outcome,
      ...(failure && { error: failure }),
    });
  }
}

function newId(kind: 'resp' | 'item'): string {
  return `${kind}_${randomBytes(12).toString('hex')}`;
}
