import type { SpeechUnit } from '@voice-fleet/protocol/turn';
import type { Timer } from '@voice-fleet/runtime/clock';
import { PhraseSplitter } from '@voice-fleet/speech/phrase-splitter';
import { WordChunker } from '@voice-fleet/speech/word-chunker';
import type { Phrase } from './engine.ts';
import { PhraseQueue, type PhraseQueueDeps, type SpeechEvent } from './phrase-queue.ts';
import { speakable } from './speakable.ts';

/** Without a token for this long, what there is is spoken. */
const GAP_MS = 700;
/** Text that is longer is cut before its Markdown is looked at, which takes time that grows with the square. */
const MARKUP_CHARS_MAX = 1_000;

/** How a reply is to be spoken. */
export interface SpeakerManner {
  readonly unit: SpeechUnit;
  /** False: nobody listens yet, so nothing is left out to keep up. */
  readonly live: boolean;
  readonly voice?: string | undefined;
  readonly language?: string | undefined;
  /** In words, for engines that can be told. */
  readonly instructions?: string | undefined;
}

export interface SpeakerOptions extends PhraseQueueDeps, Omit<SpeakerManner, 'live'> {
  /** Aborting it is `abort()`. */
  readonly signal: AbortSignal;
}

/**
 * Speaks one reply while it is being written: takes its tokens, gives its speech. Nothing is spoken twice or out of order, and
 * nothing is told after an abort.
 */
export class Speaker {
  readonly #options: SpeakerOptions;
  readonly #cutter: PhraseSplitter | WordChunker;
  readonly #queue: PhraseQueue;
  readonly #manner: Omit<Phrase, 'text'>;
  readonly #onAbort = (): void => this.abort();
  #gap: Timer | undefined;
  #hasPhrase = false;
  #isOver = false;

  constructor(options: SpeakerOptions) {
    const { unit, settings, voice, language, instructions, signal } = options;
    this.#options = options;
    this.#manner = {
      ...(voice && { voice }),
      ...(language && { language }),
      ...(instructions && { instructions }),
    };
    this.#queue = new PhraseQueue(options);
    this.#cutter =
      unit === 'words'
        ? new WordChunker({ timeoutMs: GAP_MS })
        : new PhraseSplitter({ maxLength: settings.maxPhraseLength, gapMs: GAP_MS });
    signal.addEventListener('abort', this.#onAbort, { once: true });
    if (signal.aborted) this.abort();
  }

  /** For one reader. Ends behind the last phrase once `finish` was called, or with an abort; leaving it early is one. */
  get events(): AsyncIterable<SpeechEvent> {
    return this.#read();
  }

  /** Whether there was anything to say so far. */
  get hasPhrase(): boolean {
    return this.#hasPhrase;
  }

  /** The next piece of the reply. */
  push(token: string): void {
    if (this.#isOver) return;
    this.#gap?.cancel();
    const nowMs = this.#options.clock.now();
    for (const text of this.#cutter.push(token, nowMs)) this.#say(text);
    const { deadlineMs } = this.#cutter;
    if (deadlineMs === undefined) return;
    this.#gap = this.#options.clock.after(deadlineMs - nowMs, () => this.#onGap());
  }

  /** The reply is whole: what is left of it is spoken too. */
  finish(): void {
    if (this.#isOver) return;
    this.#say(this.#cutter.flush());
    this.#end();
    this.#queue.close();
  }

  /** Stops at once, whatever is being spoken; also after `finish`. */
  abort(): void {
    this.#end();
    this.#options.signal.removeEventListener('abort', this.#onAbort);
    this.#queue.abort();
  }

  async *#read(): AsyncGenerator<SpeechEvent, void> {
    try {
      yield* this.#queue.events();
    } finally {
      this.abort();
    }
  }

  #end(): void {
    this.#isOver = true;
    this.#gap?.cancel();
  }

  #onGap(): void {
    this.#say(this.#cutter.due(this.#options.clock.now()));
  }

  /** A word without end is cut, as no engine should be asked to say it at one go. */
  #say(text = ''): void {
    for (const piece of this.#cut(text, MARKUP_CHARS_MAX))
      for (const phrase of this.#cut(speakable(piece))) this.#add(phrase);
  }

  /** Phrases of `text`, or `text` itself when it is no longer than `least`. */
  #cut(text: string, least = this.#options.settings.maxPhraseLength): readonly string[] {
    if (text.length <= least) return [text];
    const cutter = new PhraseSplitter({ maxLength: this.#options.settings.maxPhraseLength });
    return [...cutter.push(text, 0), cutter.flush() ?? ''];
  }

  #add(text: string): void {
    if (text === '') return;
    this.#hasPhrase = true;
    this.#queue.add({ ...this.#manner, text });
  }
}
