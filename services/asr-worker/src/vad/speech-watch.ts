import type { LinkEndpoint, LinkResume } from '@voice-fleet/protocol/link';
import type { Clock } from '@voice-fleet/runtime/clock';
import { Endpointer } from './endpointer.ts';
import type { Vad, VadStream } from './vad.ts';

export interface SpeechWatchOptions {
  readonly vad: Vad;
  readonly clock: Clock;
  readonly endpoint: LinkEndpoint;
  /** Where the audio begins, on the session clock. */
  readonly fromSample: number;
  readonly resume?: LinkResume | undefined;
  /** At most once. */
  readonly onStarted: (sample: number) => void;
  /** At most once, and only after `onStarted`. */
  readonly onEnded: (sample: number) => void;
}

/** Watches the audio of one utterance for its speaker's beginning and end. */
export class SpeechWatch {
  readonly #endpointer: Endpointer;
  readonly #stream: VadStream;

  constructor(options: SpeechWatchOptions) {
    const { vad, clock, endpoint, fromSample, resume, onStarted, onEnded } = options;
    this.#endpointer = new Endpointer({
      clock,
      fromSample,
      silenceMs: endpoint.silenceMs,
      // What is heard again may hold nothing but the silence behind words that another worker heard.
      startedSample: resume?.words[0]?.startSample ?? (endpoint.begun && fromSample),
      onStarted,
      onEnded: (sample) => {
        this.close();
        onEnded(sample);
      },
    });
    this.#stream = vad.open((from, until, voiced) =>
      this.#endpointer.onFrame(fromSample + from, fromSample + until, voiced),
    );
  }

  push(pcm: Buffer): void {
    if (this.#endpointer.over) return;
    this.#endpointer.onAudio(pcm.length >> 1);
    this.#stream.push(pcm);
  }

  close(): void {
    this.#endpointer.close();
    this.#stream.close();
  }
}
