import type { ReplyChunk, ReplyOptions } from '@voice-fleet/protocol/chunk';
import type { Clock } from '@voice-fleet/runtime/clock';
import { WordChunker } from '@voice-fleet/speech/word-chunker';
import { type ChatEngine, ChatFault } from './chat-engine.ts';
import type { Sound } from './sound.ts';

export const FALLBACK_TEXT = "Sorry, I didn't understand that.";
export const NO_SPEECH = 'No speech detected';
/** A model that says more has lost its way. */
const REPLY_CHARS_MAX = 65_536;

export interface ReplyRequest {
  readonly sound: Sound;
  readonly options: ReplyOptions;
  /** By the clock: when the request came. */
  readonly beganMs: number;
}

export const REPLY_OUTCOMES = [
  'replied',
  'no_speech',
  'undecodable',
  'failed',
  'timed_out',
  /** Whoever asked has gone. */
  'aborted',
] as const;

/** How a reply went. */
export interface ReplyReport {
  readonly outcome: (typeof REPLY_OUTCOMES)[number];
  readonly chunks: number;
  /** Since the request, of the first words of a model; absent when there were none. */
  readonly firstChunkMs?: number;
  readonly totalMs: number;
  /** Why it failed. For logs. */
  readonly fault?: unknown;
}

export interface ReplySettings {
  /** Of the whole reply, since the request. */
  readonly timeoutMs: number;
  readonly chunkTimeoutMs: number;
  /** Called once, at the end. */
  readonly onEnd: (report: ReplyReport) => void;
}

/**
 * The reply to a sound in chunks of a few words, the last of them final. What goes wrong is told in that last chunk. Ends without one
 * only when the signal aborts, for then nobody listens. The model is read no faster than chunks are taken.
 */
export async function* audioReply(
  { sound, options, beganMs }: ReplyRequest,
  engine: ChatEngine,
  clock: Clock,
  settings: ReplySettings,
  signal: AbortSignal,
): AsyncGenerator<ReplyChunk, void, undefined> {
  const chunks = new ChunkCounter(clock, beganMs);
  let outcome: ReplyReport['outcome'] = 'aborted';
  let fault: unknown;
  const attempt = new Attempt(clock, settings.timeoutMs - (clock.now() - beganMs), signal);
  const chunker = new WordChunker({
    size: options.chunk_size_words,
    timeoutMs: settings.chunkTimeoutMs,
  });
  try {
    if (sound.kind === 'silence') {
      outcome = 'no_speech';
      return yield chunks.failure('', NO_SPEECH);
    }
    if (sound.kind === 'undecodable') {
      outcome = 'undecodable';
      return yield chunks.failure('', sound.reason);
    }
    const task = {
      wav: sound.wav,
      mode: options.mode,
      maxTokens: options.max_new_tokens,
      temperature: options.temperature,
      topP: options.top_p,
    };
    try {
      attempt.begin(engine.reply(task, attempt.signal));
      let chars = 0;
      for (let token = await attempt.next(chunker.deadlineMs); token !== END; ) {
        if (token === DUE) {
          const words = chunker.due(clock.now());
          if (words !== undefined) yield chunks.words(words);
        } else {
          chars += token.length;
          if (chars > REPLY_CHARS_MAX)
            throw new ChatFault('The reply of the chat model is too long.');
          for (const words of chunker.push(token, clock.now())) yield chunks.words(words);
        }
        token = await attempt.next(chunker.deadlineMs);
      }
    } catch (error) {
      if (signal.aborted) return;
      fault = error;
    }
    const rest = chunker.flush();
    if (fault === undefined) {
      outcome = 'replied';
      return yield chunks.words(rest ?? '', true);
    }
    outcome = fault instanceof ReplyTimeout ? 'timed_out' : 'failed';
    if (rest !== undefined) yield chunks.words(rest);
    yield chunks.failure(FALLBACK_TEXT, reasonOf(fault));
  } finally {
    attempt.end();
    settings.onEnd({
      outcome,
      chunks: chunks.count,
      ...(chunks.firstMs !== undefined && { firstChunkMs: chunks.firstMs }),
      totalMs: chunks.sinceMs,
      ...(fault !== undefined && { fault }),
    });
  }
}

class ReplyTimeout extends Error {
  override readonly name = 'ReplyTimeout';
}

function reasonOf(fault: unknown): string {
  return fault instanceof ChatFault || fault instanceof ReplyTimeout
    ? fault.message
    : 'The reply could not be made.';
}

/** Numbers and times the chunks of one reply. */
class ChunkCounter {
  readonly #clock: Clock;
  readonly #beganMs: number;
  count = 0;
  firstMs: number | undefined;

  constructor(clock: Clock, beganMs: number) {
    this.#clock = clock;
    this.#beganMs = beganMs;
  }

  /** Since the request, to a tenth. */
  get sinceMs(): number {
    return Math.round((this.#clock.now() - this.#beganMs) * 10) / 10;
  }

  words(text: string, isFinal = false): ReplyChunk {
    const chunk = { success: true, text, is_final: isFinal, ...this.#number() };
    if (text !== '') this.firstMs ??= chunk.processing_time_ms;
    return chunk;
  }

  failure(text: string, error: string): ReplyChunk {
    return { success: false, text, is_final: true, ...this.#number(), error };
  }

  #number(): Pick<ReplyChunk, 'chunk_index' | 'processing_time_ms'> {
    this.count += 1;
    return { chunk_index: this.count - 1, processing_time_ms: this.sinceMs };
  }
}

const DUE = Symbol('no token came in time');
const END = Symbol('the model has said all');

/** One reading of a model, that ends with its time or with the signal of whoever asked, even if the model heeds neither. */
class Attempt {
  readonly #clock: Clock;
  readonly #stop = new AbortController();
  readonly #caller: AbortSignal;
  readonly #timer: { cancel(): void };
  #tokens: AsyncIterator<string> | undefined;
  /** The token that is waited for. */
  #next: Promise<IteratorResult<string>> | undefined;

  constructor(clock: Clock, timeoutMs: number, caller: AbortSignal) {
    this.#clock = clock;
    this.#caller = caller;
    this.#timer = clock.after(Math.max(0, timeoutMs), () =>
      this.#stop.abort(new ReplyTimeout('The reply took too long.')),
    );
    caller.addEventListener('abort', this.#onCallerGone);
    if (caller.aborted) this.#onCallerGone();
  }

  get signal(): AbortSignal {
    return this.#stop.signal;
  }

  begin(tokens: AsyncIterable<string>): void {
    this.#tokens = tokens[Symbol.asyncIterator]();
  }

  /** The next token, or DUE if none comes until then. */
  async next(dueMs: number | undefined): Promise<string | typeof DUE | typeof END> {
    this.signal.throwIfAborted();
    this.#next ??= this.#tokens?.next();
    const result = await this.#orDue(dueMs);
    if (result === DUE) return DUE;
    this.#next = undefined;
    return result.done ? END : result.value;
  }

  /** Stops the model, if it goes on, and all that belongs to this attempt. */
  end(): void {
    this.#timer.cancel();
    this.#caller.removeEventListener('abort', this.#onCallerGone);
    this.#stop.abort(new Error('the reply is over'));
    // Not waited for: a model that hangs would hold whoever asked.
    void this.#tokens?.return?.().catch(() => undefined);
  }

  readonly #onCallerGone = (): void => this.#stop.abort(this.#caller.reason);

  #orDue(dueMs: number | undefined): Promise<IteratorResult<string> | typeof DUE> {
    return new Promise((resolve, reject) => {
      const { signal } = this;
      const timer =
        dueMs === undefined
          ? undefined
          : this.#clock.after(Math.max(0, dueMs - this.#clock.now()), () =>
              settle(() => resolve(DUE)),
            );
      const onAbort = (): void => settle(() => reject(signal.reason as Error));
      const settle = (done: () => void): void => {
        timer?.cancel();
        signal.removeEventListener('abort', onAbort);
        done();
      };
      signal.addEventListener('abort', onAbort);
      this.#next?.then(
        (result) => settle(() => resolve(result)),
        (error: unknown) => settle(() => reject(error as Error)),
      );
    });
  }
}
