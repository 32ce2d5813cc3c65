import type { VoiceStart } from '@voice-fleet/protocol/session';
import { BYTES_PER_SAMPLE, SAMPLE_RATE } from '@voice-fleet/speech/pcm';
import { LatencyWatch } from './latency.ts';
import { PartialPacer } from './partial-pacer.ts';

const BYTES_PER_MS = (SAMPLE_RATE * BYTES_PER_SAMPLE) / 1000;
/** What comes in one frame may be so much more than fits. */
const SLACK = 1.04;

export const DEFAULT_START: VoiceStart = { mode: 'voice', endpointing: true };

/** One utterance of a voice pipeline: what was heard of it, and what was made of it so far. */
export class Capture {
  readonly id: string;
  readonly wish: VoiceStart;
  readonly latency = new LatencyWatch();
  readonly pacer: PartialPacer;
  /** All settled text, and the engine's guess at what follows. */
  #settled = '';
  #tail = '';
  /** Audio since its start, or for one that cut in, since the speaker was heard. */
  bytes = 0;
  /** Of mode `chat`, whose model hears it. */
  #audio: Buffer[] | undefined;

  constructor(id: string, wish: VoiceStart, intervalMs: number) {
    this.id = id;
    this.wish = wish;
    this.pacer = new PartialPacer(intervalMs);
    if (wish.mode === 'chat') this.#audio = [];
  }

  get audioMs(): number {
    return this.bytes / BYTES_PER_MS;
  }

  /** All that would be told now. */
  get text(): string {
    return (this.#settled + this.#tail).trim();
  }

  /** All of its audio that is kept. */
  get audio(): readonly Buffer[] {
    return this.#audio ?? [];
  }

  hear(text: string, tail: string): void {
    this.#settled += text;
    this.#tail = tail;
  }

  /** What fits of a frame into an utterance of `maxMs`. */
  clip(pcm: Buffer, maxMs: number): Buffer {
    const room = Math.floor(maxMs * BYTES_PER_MS * SLACK) - this.bytes;
    return pcm.length <= room ? pcm : pcm.subarray(0, room - (room % BYTES_PER_SAMPLE));
  }

  add(pcm: Buffer): void {
    this.bytes += pcm.length;
    this.#audio?.push(pcm);
  }

  /** Only the last `bytes` of what came are its own. */
  keepLast(bytes: number): void {
    this.bytes = Math.min(this.bytes, bytes);
    let kept = 0;
    const first = this.#audio?.findLastIndex((pcm) => {
      kept += pcm.length;
      return kept >= this.bytes;
    });
    if (first !== undefined && first > 0) this.#audio?.splice(0, first);
  }
}
