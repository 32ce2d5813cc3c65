import type { EngineEvent, EngineStream } from '../engine.ts';
import { EventQueue } from '../event-queue.ts';
import type { ProcessPart } from './availability.ts';

/** Says once, as a word without confidence or time, what is missing; takes all audio and hears nothing. */
export class UnavailableStream implements EngineStream {
  readonly #queue = new EventQueue<EngineEvent>();
  #isOver = false;

  constructor(missing: readonly ProcessPart[]) {
    const text = `[Voxtral ASR unavailable: ${missing.join(' and ')} missing]`;
    const word = { text, startSample: 0, endSample: 0, confidence: 0 };
    this.#queue.push({ kind: 'words', words: [word], tail: '' });
  }

  get events(): AsyncIterable<EngineEvent> {
    return this.#queue;
  }

  async write(_pcm: Buffer): Promise<void> {
    if (this.#isOver) throw new Error('audio was written after finish');
  }

  finish(): void {
    if (this.#isOver) return;
    this.#isOver = true;
    this.#queue.push({ kind: 'end', promptTokens: 0, completionTokens: 0 });
    this.#queue.end();
  }

  abort(): void {
    this.#isOver = true;
    this.#queue.end();
  }
}
