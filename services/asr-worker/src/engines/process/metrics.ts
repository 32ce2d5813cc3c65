import { SAMPLE_RATE } from '@voice-fleet/speech/pcm';

/** What one stream, or a whole engine, has worked. */
export interface ProcessWork {
  /** Writes that the process took. */
  readonly chunksProcessed: number;
  readonly audioMs: number;
  /** See `WorkMeter`: a lower bound. */
  readonly inferMs: number;
  /** `inferMs` for each chunk; 0 before the first. */
  readonly avgInferMs: number;
  /** `inferMs` / `audioMs`: processing time for each unit of audio; 0 before the first audio. */
  readonly realtimeFactor: number;
}

/**
 * Adds up processing time against audio time. A process that prints bare text does not say when it is done with a piece
 * of audio, so its processing time is the time it kept its caller waiting: until it took a write, and from the end of
 * the audio until it was gone. That is exact for a process that is behind, and includes loading its model; while it
 * keeps up and waits for audio, the pipe hides its work and the figure falls to zero. So it is a lower bound.
 */
export class WorkMeter {
  #chunks = 0;
  #samples = 0;
  #inferMs = 0;

  /** The process took `samples` and let the caller wait for `inferMs`. */
  addChunk(samples: number, inferMs: number): void {
    this.#chunks += 1;
    this.#samples += samples;
    this.#inferMs += inferMs;
  }

  /** The process went on for so long after the last chunk. */
  addRest(inferMs: number): void {
    this.#inferMs += inferMs;
  }

  work(): ProcessWork {
    const audioMs = (this.#samples * 1_000) / SAMPLE_RATE;
    return {
      chunksProcessed: this.#chunks,
      audioMs,
      inferMs: this.#inferMs,
      avgInferMs: this.#chunks === 0 ? 0 : this.#inferMs / this.#chunks,
      realtimeFactor: audioMs === 0 ? 0 : this.#inferMs / audioMs,
    };
  }
}

export interface ProcessStats extends ProcessWork {
  /** Processes there are now, the dying included. */
  readonly children: number;
  readonly childrenStarted: number;
  readonly lastError: string | undefined;
  /** Streams that failed since one last came to its end. */
  readonly consecutiveErrors: number;
}

/** The figures of one engine over all its streams. */
export class ProcessMetrics {
  readonly meter = new WorkMeter();
  #children = 0;
  #childrenStarted = 0;
  #lastError: string | undefined;
  #consecutiveErrors = 0;

  childStarted(): void {
    this.#children += 1;
    this.#childrenStarted += 1;
  }

  childGone(): void {
    this.#children -= 1;
  }

  failed(message: string): void {
    this.#lastError = message;
    this.#consecutiveErrors += 1;
  }

  succeeded(): void {
    this.#consecutiveErrors = 0;
  }

  stats(): ProcessStats {
    return {
      ...this.meter.work(),
      children: this.#children,
      childrenStarted: this.#childrenStarted,
      lastError: this.#lastError,
      consecutiveErrors: this.#consecutiveErrors,
    };
  }
}
