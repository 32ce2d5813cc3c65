import { type ReplyChunk, ReplyOptions } from '@voice-fleet/protocol/chunk';
import { VoiceError } from '@voice-fleet/protocol/errors';
import type { SessionEvent } from '@voice-fleet/protocol/session';
import type { TurnRequestInput } from '@voice-fleet/protocol/turn';
import type { Clock } from '@voice-fleet/runtime/clock';
import { SAMPLE_RATE } from '@voice-fleet/speech/pcm';
import { writeWav } from '@voice-fleet/speech/wav';
import type { AudioChat } from './audio-chat-client.ts';
import type { Capture } from './capture.ts';
import { Reply } from './reply.ts';
import { type ReplyEnd, TurnTaker } from './turn.ts';
import type { Turns } from './turn-client.ts';
import type { VoiceSettings } from './voice-env.ts';

/** Where replies come from. */
export interface ReplySources {
  readonly clock: Clock;
  readonly settings: Pick<VoiceSettings, 'llmTimeoutMs' | 'ttsTimeoutMs'>;
  readonly turns: Turns;
  readonly audioReplies: AudioChat;
}

export interface ReplyListener {
  onEvent(event: SessionEvent): void;
  onStarted(model: string, tts: string | undefined): void;
  /** Once for each reply that was not aborted. */
  onEnd(end: ReplyEnd): void;
  /** While it does not settle, no more is read. */
  relief(): Promise<void> | undefined;
}

/** llm-tts keeps the time of what it does; one that is silent for so much longer is gone. */
const GAP_SLACK_MS = 5_000;
/** What a turn may be asked with. */
export const MAX_TEXT_CHARS = 32_768;

/** What is to be answered, and how. */
export type Question = Omit<TurnRequestInput, 'tenant' | 'conversation'>;

/** The replies of one session, one at a time. Their phrases are numbered through the session. */
export class Replies {
  readonly #conversation: string;
  readonly #tenant: string;
  readonly #sources: ReplySources;
  readonly #listener: ReplyListener;
  readonly #running = new Set<Promise<void>>();
  #abort: (() => void) | undefined;
  #seq = 0;

  constructor(
    conversation: string,
    tenant: string,
    sources: ReplySources,
    listener: ReplyListener,
  ) {
    this.#conversation = conversation;
    this.#tenant = tenant;
    this.#sources = sources;
    this.#listener = listener;
  }

  /** A reply to what was said, in tokens and spoken phrases. `id`: what its events are about. */
  answer(id: string, question: Question): void {
    const { turns } = this.#sources;
    const { onEvent, onStarted } = this.#listener;
    const request = {
      ...question,
      tenant: this.#tenant,
      conversation: this.#conversation,
      text: question.text.slice(0, MAX_TEXT_CHARS),
    };
    const taker = new TurnTaker(id, {
      event: onEvent,
      onStarted,
      nextSeq: () => this.#seq++,
      onEnd: (end) => this.#end(end),
    });
    this.#run(new Reply((signal) => turns.open(request, signal), taker, this.#deps()));
  }

  /** A reply to how it was said. */
  chat({ id, wish, audio }: Capture): void {
    const { audioReplies } = this.#sources;
    const wav = writeWav(Buffer.concat(audio), SAMPLE_RATE);
    const options = ReplyOptions.parse(wish.reply ?? {});
    const taker = {
      take: (chunk: ReplyChunk) =>
        this.#listener.onEvent({ kind: 'chunk', utteranceId: id, chunk }),
      end: (error: unknown) =>
        this.#end({
          outcome: error === undefined ? 'spoken' : 'failed',
          spoke: false,
          ...(error !== undefined && { error }),
        }),
    };
    this.#run(
      new Reply((signal) => audioReplies.chatReply(wav, options, signal), taker, this.#deps()),
    );
  }

  /** Nothing more is told of the reply under way. False when there is none. */
  abort(): boolean {
    const abort = this.#abort;
    this.#abort = undefined;
    abort?.();
    return abort !== undefined;
  }

  /** Settles when nothing is done for any reply any more. */
  async settled(): Promise<void> {
    await Promise.all(this.#running);
  }

  #deps() {
    const { clock, settings } = this.#sources;
    const gapMs = Math.max(settings.llmTimeoutMs, settings.ttsTimeoutMs) + GAP_SLACK_MS;
    return { clock, gapMs, relief: () => this.#listener.relief() };
  }

  #run<E>(reply: Reply<E>): void {
    this.#abort = () => reply.abort();
    this.#running.add(reply.settled);
    void reply.settled.then(() => this.#running.delete(reply.settled));
  }

  #end(end: ReplyEnd): void {
    this.#abort = undefined;
    this.#listener.onEnd(end);
  }
}

/** What a client is told of a reply that broke off, whatever it was: its session goes on. */
export function replyError(thrown: unknown): VoiceError {
  if (thrown instanceof VoiceError && thrown.tier === 'recoverable') return thrown;
  return new VoiceError('llm_failed', { cause: thrown });
}
