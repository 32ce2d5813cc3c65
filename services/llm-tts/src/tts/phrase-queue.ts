import { VoiceError } from '@voice-fleet/protocol/errors';
import type { TurnEvent } from '@voice-fleet/protocol/turn';
import type { Clock } from '@voice-fleet/runtime/clock';
import type { Phrase, SpeechAudio, TtsEngine } from './engine.ts';
import type { SpeakerSettings } from './tts-env.ts';

/** Phrases spoken that nobody has read yet; at as many no other is begun. */
const MAX_UNREAD = 32;

export type SpeechEvent = Extract<
  TurnEvent,
  { type: 'speech' | 'phrase_done' | 'phrase_dropped' | 'error' }
>;

/** What became of a phrase, for metrics and logs; of phrases that were aborted nothing is told. */
export interface PhraseOutcome {
  readonly outcome: 'spoken' | 'failed' | 'timeout' | 'dropped';
  readonly engine: string;
  /** Since the engine was asked; 0 for dropped ones. */
  readonly seconds: number;
  readonly error?: Error;
}

export interface PhraseQueueDeps {
  readonly engine: TtsEngine;
  readonly clock: Clock;
  readonly settings: SpeakerSettings;
  /** False: nobody listens yet, so none is ever dropped; as many wait as the reply has. */
  readonly live?: boolean;
  readonly onOutcome?: (outcome: PhraseOutcome) => void;
}

/** A phrase on its way; `events` are there once it is over. */
interface Item {
  readonly index: number;
  readonly phrase: Phrase;
  events: readonly SpeechEvent[] | undefined;
}

/**
 * Phrases of one turn, spoken by a few at a time and told of in their order. Of more than `maxPending` that wait the oldest is
 * dropped when they are heard live, which is told at once; one that fails or takes too long costs itself alone.
 */
export class PhraseQueue {
  readonly #deps: PhraseQueueDeps;
  readonly #waiting: Item[] = [];
  /** Begun, in order, until told of. */
  readonly #begun: Item[] = [];
  readonly #running = new Set<AbortController>();
  readonly #out: SpeechEvent[] = [];
  #wake: (() => void) | undefined;
  #unread = 0;
  #phrases = 0;
  #isClosed = false;
  #isAborted = false;

  constructor(deps: PhraseQueueDeps) {
    this.#deps = deps;
  }

  add(phrase: Phrase): void {
    if (this.#isClosed || this.#isAborted) return;
    this.#waiting.push({ index: this.#phrases++, phrase, events: undefined });
    this.#begin();
    const { settings, live = true } = this.#deps;
    const isTooMany = live && this.#waiting.length > settings.maxPending;
    const dropped = isTooMany ? this.#waiting.shift() : undefined;
    if (!dropped) return;
    this.#tell({ outcome: 'dropped', seconds: 0 });
    this.#emit([{ type: 'phrase_dropped', phrase: dropped.index }]);
  }

  /** No phrase follows: `events` end behind the last. */
  close(): void {
    this.#isClosed = true;
    this.#wakeReader();
  }

  /** Stops what runs, forgets what waits; nothing more is told. */
  abort(): void {
    if (this.#isAborted) return;
    this.#isAborted = true;
    this.#waiting.length = 0;
    this.#begun.length = 0;
    this.#out.length = 0;
    for (const running of this.#running) running.abort(new VoiceError('cancelled'));
    this.#running.clear();
    this.#wakeReader();
  }

  /** For one reader; leaving it aborts the rest. */
  async *events(): AsyncGenerator<SpeechEvent, void> {
    try {
      for (;;) {
        const event = this.#out.shift();
        if (event) {
          if (event.type === 'phrase_done') this.#onRead();
          yield event;
        } else if (this.#isOver()) return;
        else await this.#news();
      }
    } finally {
      this.abort();
    }
  }

  #news(): Promise<void> {
    return new Promise((resolve) => {
      this.#wake = resolve;
    });
  }

  #isOver(): boolean {
    if (this.#isAborted) return true;
    return this.#isClosed && this.#waiting.length === 0 && this.#begun.length === 0;
  }

  #begin(): void {
    const { workers } = this.#deps.settings;
    while (this.#running.size < workers && this.#unread < MAX_UNREAD) {
      const item = this.#waiting.shift();
      if (!item) return;
      this.#begun.push(item);
      this.#unread += 1;
      void this.#speak(item);
    }
  }

  #onRead(): void {
    this.#unread -= 1;
    this.#begin();
  }

  async #speak(item: Item): Promise<void> {
    const { clock, engine, settings } = this.#deps;
    const sinceMs = clock.now();
    const running = new AbortController();
    this.#running.add(running);
    // Whether or not the engine lets go of it.
    const overdue = new Promise<never>((_resolve, reject) => {
      running.signal.addEventListener('abort', () => reject(running.signal.reason), { once: true });
    });
    const timer = clock.after(settings.timeoutMs, () => {
      running.abort(new VoiceError('tts_timeout'));
    });
    let result: SpeechAudio | VoiceError;
    try {
      result = await Promise.race([engine.synthesize(item.phrase, running.signal), overdue]);
    } catch (error) {
      result = error instanceof VoiceError ? error : new VoiceError('tts_failed', { cause: error });
    }
    timer.cancel();
    this.#running.delete(running);
    if (this.#isAborted) return;
    this.#settle(item, result, (clock.now() - sinceMs) / 1000);
  }

  #settle(item: Item, result: SpeechAudio | VoiceError, seconds: number): void {
    const phrase = item.index;
    if (result instanceof VoiceError) {
      const isLate = result.code === 'tts_timeout';
      this.#tell({ outcome: isLate ? 'timeout' : 'failed', seconds, error: result });
      const code = isLate ? 'tts_timeout' : 'tts_failed';
      item.events = [{ type: 'error', code, message: result.message, phrase }];
    } else {
      this.#tell({ outcome: 'spoken', seconds });
      const { wav, sampleRate, durationMs } = result;
      const audio = wav.toString('base64');
      item.events = [
        { type: 'speech', phrase, audio, sampleRate, durationMs },
        { type: 'phrase_done', phrase },
      ];
    }
    while (this.#begun[0]?.events) {
      const events = this.#begun.shift()?.events ?? [];
      if (events.length === 1) this.#unread -= 1;
      this.#emit(events);
    }
    this.#begin();
    this.#wakeReader();
  }

  #tell(outcome: Omit<PhraseOutcome, 'engine'>): void {
    this.#deps.onOutcome?.({ ...outcome, engine: this.#deps.engine.name });
  }

  #emit(events: readonly SpeechEvent[]): void {
    this.#out.push(...events);
    this.#wakeReader();
  }

  #wakeReader(): void {
    this.#wake?.();
    this.#wake = undefined;
  }
}
