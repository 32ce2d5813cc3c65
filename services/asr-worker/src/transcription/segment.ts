import type { Word } from '@voice-fleet/speech/words';
import type { EngineEvent, EngineStream } from '../engines/engine.ts';

interface Anchor {
  readonly streamSample: number;
  readonly sessionSample: number;
}

/** One engine stream and its place on the session clock. */
export class Segment {
  readonly #stream: EngineStream;
  readonly #anchors: Anchor[] = [];
  #written = 0;

  constructor(stream: EngineStream) {
    this.#stream = stream;
  }

  /** Samples handed to the engine, the overlap included. */
  get samples(): number {
    return this.#written;
  }

  /** `fromSample` is where `pcm` lies on the session clock; dropped audio leaves a gap before it. */
  write(pcm: Buffer, fromSample: number): Promise<void> {
    const last = this.#anchors.at(-1);
    if (
      last === undefined ||
      fromSample - last.sessionSample !== this.#written - last.streamSample
    ) {
      this.#anchors.push({ streamSample: this.#written, sessionSample: fromSample });
    }
    this.#written += pcm.length >> 1;
    return this.#stream.write(pcm);
  }

  finish(): void {
    this.#stream.finish();
  }

  abort(): void {
    this.#stream.abort();
  }

  get events(): AsyncIterable<EngineEvent> {
    return this.#stream.events;
  }

  /** The words with their times on the session clock. */
  onSessionClock(words: readonly Word[]): Word[] {
    return words.map((word) => ({
      ...word,
      startSample: this.toSession(word.startSample),
      endSample: this.toSession(word.endSample),
    }));
  }

  /** Where on the session clock a sample of this stream lies. */
  toSession(streamSample: number): number {
    const anchor =
      this.#anchors.findLast((candidate) => candidate.streamSample <= streamSample) ??
      this.#anchors[0];
    if (anchor === undefined) return 0;
    return Math.max(0, Math.round(anchor.sessionSample + streamSample - anchor.streamSample));
  }
}
