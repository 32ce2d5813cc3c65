import type { Clock } from '@voice-fleet/runtime/clock';
import type { Word } from '@voice-fleet/speech/words';
import { type EngineEvent, type EngineStream, StreamFault, type VoiceState } from '../engine.ts';
import { EventQueue } from '../event-queue.ts';
import type { FromChild, ToChild } from './messages.ts';

/** PCM16. */
const SAMPLE_BYTES = 2;
/** A child that says nothing about a stream for so long, and owes it an answer, is stuck. */
const STALL_MS = 10_000;
const MAX_RESTARTS = 3;
/** Usage is counted in units of 80 ms, as Voxtral counts its audio tokens. */
const TOKEN_SAMPLES = 1_280;

export type StreamReply = Extract<FromChild, { readonly stream: number }>;

export interface StreamDeps {
  readonly id: number;
  readonly clock: Clock;
  readonly voice: VoiceState;
  readonly maxSamples: number;
  /** Where messages go; they are lost while no child is ready. */
  readonly send: (message: ToChild) => void;
  readonly onClosed: () => void;
}

/** The worker's end of one segment. It keeps the audio, so that a fresh child can start the segment over. */
export class PocketsphinxStream implements EngineStream {
  readonly #deps: StreamDeps;
  readonly #events = new EventQueue<EngineEvent>();
  /** As it was when the stream opened: a segment started over must sound the same. */
  readonly #mean: readonly number[] | undefined;
  readonly #audio: Buffer[] = [];
  #audioBytes = 0;
  #pending: { resolve: () => void; reject: (error: Error) => void } | undefined;
  /** Writes the present child has not answered. */
  #unanswered = 0;
  #lastWord: Word | undefined;
  #tail = '';
  #wordCount = 0;
  #decodedSamples = 0;
  #state: 'open' | 'finishing' | 'closed' = 'open';
  #error: Error | undefined;
  #restarts = 0;
  /** When the child last answered, or was first asked. */
  #heardAtMs = 0;
  #queued = false;

  constructor(deps: StreamDeps) {
    this.#deps = deps;
    this.#mean = meanOf(deps.voice);
  }

  get events(): AsyncIterable<EngineEvent> {
    return this.#events;
  }

  /** Waiting for a decoder may last; anything else must not. */
  get isStalled(): boolean {
    const isOwed = this.#unanswered > 0 || this.#state === 'finishing';
    return isOwed && !this.#queued && this.#deps.clock.now() - this.#heardAtMs > STALL_MS;
  }

  async write(pcm: Buffer): Promise<void> {
    if (this.#error) throw this.#error;
    if (this.#state === 'closed' || pcm.length === 0) return;
    if (this.#state === 'finishing') throw new Error('audio was written after finish');
    if (this.#pending) throw new Error('audio was written before the last write settled');
    if (this.#audioBytes + pcm.length > this.#deps.maxSamples * SAMPLE_BYTES) {
      throw new Error(`a segment holds ${this.#deps.maxSamples} samples at most`);
    }
    // A copy, because the caller may use its buffer again before this segment is over.
    const copy = Buffer.from(pcm);
    this.#audio.push(copy);
    this.#audioBytes += copy.length;
    this.#unanswered += 1;
    this.#heardAtMs = this.#deps.clock.now();
    return new Promise((resolve, reject) => {
      this.#pending = { resolve, reject };
      this.#send(copy);
    });
  }

  finish(): void {
    if (this.#state !== 'open') return;
    this.#state = 'finishing';
    this.#heardAtMs = this.#deps.clock.now();
    this.#deps.send({ kind: 'finish', stream: this.#deps.id });
  }

  abort(): void {
    if (this.#state === 'closed') return;
    this.#deps.send({ kind: 'abort', stream: this.#deps.id });
    this.#close();
  }

  fail(error: Error): void {
    if (this.#state === 'closed') return;
    this.#error = error;
    this.#close(error);
  }

  /** The child died. A stream it dies of again and again is given up. */
  onDown(why: string): void {
    if (this.#audio.length === 0) return;
    this.#restarts += 1;
    if (this.#restarts > MAX_RESTARTS) {
      // It has been started over often enough.
      const message = `the decoder failed ${this.#restarts} times on one segment: ${why}`;
      this.fail(new StreamFault('closed', message, { retryable: false }));
    }
  }

  /** Tells a fresh child everything so far. */
  replay(): void {
    this.#queued = false;
    this.#heardAtMs = this.#deps.clock.now();
    const { id, send } = this.#deps;
    const resume =
      this.#decodedSamples === 0
        ? undefined
        : { lastWord: this.#lastWord, decodedSamples: this.#decodedSamples };
    send({ kind: 'open', stream: id, mean: this.#mean, resume });
    this.#unanswered = this.#audio.length;
    for (const pcm of this.#audio) this.#send(pcm);
    if (this.#state === 'finishing') send({ kind: 'finish', stream: id });
  }

  receive(reply: StreamReply): void {
    if (this.#state === 'closed') return;
    this.#heardAtMs = this.#deps.clock.now();
    switch (reply.kind) {
      case 'queued':
      case 'lent':
        this.#queued = reply.kind === 'queued';
        return;
      case 'decoded':
        return this.#emit(reply.decodedSamples, reply.words, reply.tail);
      case 'taken':
        this.#unanswered -= 1;
        // In a replay the older writes, settled long ago, are answered first.
        if (this.#unanswered === 0) this.#settle()?.resolve();
        return;
      case 'ended':
        if (reply.mean) this.#deps.voice.value = reply.mean;
        this.#events.push({
          kind: 'end',
          promptTokens: Math.ceil(Math.floor(this.#audioBytes / SAMPLE_BYTES) / TOKEN_SAMPLES),
          completionTokens: this.#wordCount,
        });
        return this.#close();
    }
  }

  #emit(decodedSamples: number, words: readonly Word[], tail: string): void {
    // A replay says again what was heard before; its tail would jump back.
    if (decodedSamples < this.#decodedSamples) return;
    this.#decodedSamples = decodedSamples;
    if (words.length === 0 && tail === this.#tail) return;
    this.#tail = tail;
    this.#lastWord = words.at(-1) ?? this.#lastWord;
    this.#wordCount += words.length;
    this.#events.push({ kind: 'words', words, tail });
  }

  #send(pcm: Buffer): void {
    this.#deps.send({ kind: 'write', stream: this.#deps.id, pcm });
  }

  #settle(): { resolve: () => void; reject: (error: Error) => void } | undefined {
    const pending = this.#pending;
    this.#pending = undefined;
    return pending;
  }

  #close(error?: Error): void {
    this.#state = 'closed';
    this.#audio.length = 0;
    if (error) this.#settle()?.reject(error);
    else this.#settle()?.resolve();
    this.#events.end(error);
    this.#deps.onClosed();
  }
}

function meanOf({ value }: VoiceState): readonly number[] | undefined {
  return Array.isArray(value) && value.length > 0 ? (value as readonly number[]) : undefined;
}
