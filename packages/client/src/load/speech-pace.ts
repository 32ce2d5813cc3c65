import type { Clock, Timer } from '@voice-fleet/runtime/clock';
import { CHUNK_MS } from '../audio-source.ts';
import type { Latencies } from './latencies.ts';

/** An eighth of a frame. */
const TICK_MS = 10;

interface Speaker {
  readonly chunks: readonly Buffer[];
  readonly startMs: number;
  readonly send: (chunk: Buffer) => void;
  readonly failed: AbortSignal;
  readonly resolve: () => void;
  readonly reject: (error: unknown) => void;
  next: number;
}

/**
 * The pace of a microphone for any number of sessions by one timer: each frame is due at a fixed moment after the first of its
 * utterance, and those that are due go out at the next tick. Ticks only while somebody speaks.
 */
export class SpeechPace {
  readonly #clock: Clock;
  readonly #frameMs: number;
  readonly #late: Latencies;
  readonly #speakers = new Set<Speaker>();
  #timer: Timer | undefined;

  /** `late`: learns of each frame how long after its moment it went. `speed` 1 is real time. */
  constructor(clock: Clock, late: Latencies, speed = 1) {
    this.#clock = clock;
    this.#late = late;
    this.#frameMs = CHUNK_MS / speed;
  }

  /** Settles when the last frame is sent; rejects with the reason of `failed`, and with what `send` throws. */
  speak(
    chunks: readonly Buffer[],
    send: (chunk: Buffer) => void,
    failed: AbortSignal,
  ): Promise<void> {
    return new Promise((resolve, reject) => {
      const startMs = this.#clock.now();
      this.#speakers.add({ chunks, startMs, send, failed, resolve, reject, next: 0 });
      this.#timer ??= this.#clock.every(TICK_MS, () => this.#tick());
    });
  }

  #tick(): void {
    const nowMs = this.#clock.now();
    for (const speaker of this.#speakers) {
      try {
        if (speaker.failed.aborted) throw speaker.failed.reason;
        if (this.#advance(speaker, nowMs)) this.#speakers.delete(speaker);
      } catch (error) {
        this.#speakers.delete(speaker);
        speaker.reject(error);
      }
    }
    if (this.#speakers.size > 0) return;
    this.#timer?.cancel();
    this.#timer = undefined;
  }

  /** True when there is nothing more to say. */
  #advance(speaker: Speaker, nowMs: number): boolean {
    for (;;) {
      const chunk = speaker.chunks[speaker.next];
      if (chunk === undefined) {
        speaker.resolve();
        return true;
      }
      const dueMs = speaker.startMs + speaker.next * this.#frameMs;
      if (nowMs < dueMs) return false;
      this.#late.record(nowMs - dueMs);
      speaker.next += 1;
      speaker.send(chunk);
    }
  }
}
