import type { ClientCommand } from '@voice-fleet/protocol/session';
import { BYTES_PER_SAMPLE, SAMPLE_RATE } from '@voice-fleet/speech/pcm';
import type { Session } from '../session/session.ts';
import type { Capture } from './capture.ts';
import { HeldAudio } from './held-audio.ts';

/** While nobody is heard no more is kept: 60 s, as much as a worker may have to hear again before it hears the speaker. */
const MAX_UNHEARD_BYTES = 60 * SAMPLE_RATE * BYTES_PER_SAMPLE;

/** The part of a session that a pipeline uses. */
export type VoiceSession = Pick<Session, 'id' | 'apply' | 'perform' | 'finish' | 'drop' | 'totals'>;

export interface ListeningOptions {
  readonly silenceMs: number;
  /** Made for audio that comes amid a reply. */
  readonly newCapture: () => Capture;
  /** The session begins to hear it. */
  readonly onOpened: () => void;
}

/** Audio that comes while an utterance is answered: it becomes the next utterance as soon as a speaker is heard in it. */
export class Listening {
  readonly #session: VoiceSession;
  readonly #options: ListeningOptions;
  /** What was said before the final, while the session has room for one utterance only. */
  readonly #held = new HeldAudio();
  #next: Capture | undefined;
  #deaf = false;

  constructor(session: VoiceSession, options: ListeningOptions) {
    this.#session = session;
    this.#options = options;
  }

  /** The utterance with this id, if it is the one listened to. */
  numbered(utteranceId: string): Capture | undefined {
    return this.#next?.id === utteranceId ? this.#next : undefined;
  }

  /** Keeps audio until the session can hear it. */
  hold(pcm: Buffer): void {
    if (!this.#deaf) this.#held.push(pcm);
  }

  /** The session has room: it hears what was held. */
  open(): void {
    if (!this.#held.empty) this.#open();
  }

  hear(command: Extract<ClientCommand, { kind: 'audio' }>): void {
    if (this.#deaf) return;
    const next = this.#next ?? this.#open();
    this.#session.apply(command);
    next.add(command.pcm);
    // Seldom, as it costs as much as is kept.
    if (next.bytes > 2 * MAX_UNHEARD_BYTES) next.keepLast(MAX_UNHEARD_BYTES);
  }

  /** It failed, and is not tried again in this reply. */
  fail(): void {
    this.#next = undefined;
    this.#deaf = true;
  }

  /** Nothing is listened to any more. True: the session still has an utterance of it. */
  end(): boolean {
    const had = this.#next !== undefined;
    this.#next = undefined;
    this.#deaf = false;
    this.#held.clear();
    return had;
  }

  #open(): Capture {
    const { newCapture, silenceMs, onOpened } = this.#options;
    const next = newCapture();
    this.#next = next;
    this.#session.perform({ kind: 'start', utteranceId: next.id, silenceMs });
    onOpened();
    for (const pcm of this.#held.take()) {
      this.#session.perform({ kind: 'audio', utteranceId: undefined, pcm });
      next.add(pcm);
    }
    return next;
  }
}
