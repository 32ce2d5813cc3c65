import { VoiceError } from '@voice-fleet/protocol/errors';
import type { LinkWord } from '@voice-fleet/protocol/link';
import type { CloseReason, SessionEvent, Usage } from '@voice-fleet/protocol/session';
import type { Clock, Timer } from '@voice-fleet/runtime/clock';
import { BYTES_PER_SAMPLE, SAMPLE_RATE } from '@voice-fleet/speech/pcm';
import type { Session } from '../session/session.ts';
import type { SessionSink } from '../session/session-deps.ts';
import type { SessionUsage, UsageOwner } from '../usage/session-usage.ts';

/** So much may be with a worker before its engine has taken it. A worker drops audio when more waits than it allows, 5 s usually. */
const WINDOW_SAMPLES = 2 * SAMPLE_RATE;
/** Sent at once. */
const PIECE_SAMPLES = SAMPLE_RATE / 2;
const UTTERANCE = 'recording';

export interface RecordingSessionDeps {
  readonly clock: Clock;
  /** A recording that gets on in no way for so long has failed. */
  readonly patienceMs: number;
  /** Audio was handed to the session. */
  readonly onAudio: (samples: number) => void;
  /** The session left its worker, or went on with another. */
  readonly onTrouble: (event: 'worker_lost' | 'session_moved', cause: string) => void;
  /** Words are settled, for those that do not wait for all. Their text joined is that of the recording. */
  readonly onWords?: ((words: readonly LinkWord[]) => void) | undefined;
}

/** What was said in a recording. Samples of the words are counted from its start. */
export interface RecordedSpeech {
  readonly text: string;
  readonly words: readonly LinkWord[];
  readonly usage: Usage;
}

/**
 * What a session is to a recording: one utterance, given to its worker as fast as the engine takes it and no faster, so that
 * nothing is dropped. Whatever goes wrong fails it; the first failure counts.
 */
export class RecordingSession implements SessionSink, UsageOwner {
  readonly #deps: RecordingSessionDeps;
  #session: Session | undefined;
  #closing: Promise<void> | undefined;
  #failure: VoiceError | undefined;
  #final: { readonly text: string; readonly usage: Usage } | undefined;
  /** As many as are said in the longest recording that is taken. */
  readonly #words: LinkWord[] = [];
  #sentSamples = 0;
  #takenSamples = 0;
  #held = false;
  #wake: (() => void) | undefined;
  #patience: Timer | undefined;

  constructor(deps: RecordingSessionDeps) {
    this.#deps = deps;
  }

  /** Why it failed, if it did. */
  get failure(): VoiceError | undefined {
    return this.#failure;
  }

  /** The session exists, and may be closed from now on. */
  hold(session: Session): void {
    this.#session = session;
    if (this.#failure) this.#closing = session.close();
  }

  /** Gives `pcm` (PCM16, 16 kHz) to the session, which is admitted, and returns what was said. Rejects with VoiceError. */
  async transcribe(pcm: Buffer, usage: Pick<SessionUsage, 'accepted'>): Promise<RecordedSpeech> {
    const session = this.#session;
    if (session === undefined) throw new VoiceError('internal', { cause: 'no session' });
    this.#onProgress();
    try {
      this.#expectAlive();
      session.perform({ kind: 'start', utteranceId: UTTERANCE });
      for (let at = 0; at < pcm.length; at += PIECE_SAMPLES * BYTES_PER_SAMPLE) {
        const piece = pcm.subarray(at, at + PIECE_SAMPLES * BYTES_PER_SAMPLE);
        const samples = piece.length / BYTES_PER_SAMPLE;
        await this.#room(samples);
        // It counts in no limit of messages: it is one request to whoever sent it.
        session.perform({ kind: 'audio', utteranceId: UTTERANCE, pcm: piece });
        this.#sentSamples += samples;
        this.#deps.onAudio(samples);
        usage.accepted(session.recordedSamples);
      }
      session.perform({ kind: 'finalize', utteranceId: UTTERANCE });
      return { ...(await this.#end()), words: this.#words };
    } finally {
      this.#patience?.cancel();
    }
  }

  /** Settles when the slot is given back. */
  async close(): Promise<void> {
    this.#patience?.cancel();
    this.#closing ??= this.#session?.close();
    await this.#closing;
  }

  event(event: SessionEvent): void {
    switch (event.kind) {
      case 'partial':
        return this.#onProgress();
      case 'final':
        this.#final = { text: event.text, usage: event.usage };
        return this.#wake?.();
      case 'error':
        return this.fail(event.error);
      case 'dropped':
        // Part of it would be missing, and nobody could tell where.
        return this.fail(
          new VoiceError('engine_failed', {
            message: 'The worker let some of the recording go, as it fell behind. Send it again.',
            details: { dropped_seconds: event.samples / SAMPLE_RATE },
          }),
        );
      default:
    }
  }

  end(reason: CloseReason): void {
    switch (reason.kind) {
      case 'error':
        return this.fail(reason.error);
      case 'max-duration':
        return this.fail(
          new VoiceError('max_duration_exceeded', {
            message: 'Transcribing the recording took longer than a session may last.',
          }),
        );
      default:
        return this.fail(new VoiceError('fleet_unavailable', { cause: reason.kind }));
    }
  }

  /** Nothing more comes of it; its slot is given back at once. */
  fail(error: VoiceError): void {
    if (this.#failure !== undefined || this.#final !== undefined) return;
    this.#failure = error;
    this.#closing ??= this.#session?.close();
    this.#wake?.();
  }

  endWith(error: VoiceError): void {
    this.fail(error);
  }

  onBooked(): void {}

  heard(_utteranceId: string, words: readonly LinkWord[]): void {
    if (words.length === 0 || this.#failure !== undefined) return;
    this.#words.push(...words);
    this.#deps.onWords?.(words);
  }

  onTaken(sample: number): void {
    if (sample === this.#takenSamples) return;
    this.#takenSamples = sample;
    this.#onProgress();
    this.#wake?.();
  }

  holdInput(hold: boolean): void {
    this.#held = hold;
    this.#wake?.();
  }

  workerLost(cause: string): void {
    this.#deps.onTrouble('worker_lost', cause);
  }

  moved(cause: string): void {
    this.#deps.onTrouble('session_moved', cause);
    this.#onProgress();
  }

  #onProgress(): void {
    this.#patience?.cancel();
    if (this.#failure !== undefined) return;
    this.#patience = this.#deps.clock.after(this.#deps.patienceMs, () =>
      this.fail(
        new VoiceError('asr_timeout', {
          message: 'The recording was not transcribed in time. Send it again.',
        }),
      ),
    );
  }

  #expectAlive(): void {
    if (this.#failure) throw this.#failure;
  }

  /** Settles when so many samples may be sent. */
  async #room(samples: number): Promise<void> {
    for (;;) {
      this.#expectAlive();
      const waiting = this.#sentSamples - this.#takenSamples;
      if (!this.#held && waiting + samples <= WINDOW_SAMPLES) return;
      await this.#woken();
    }
  }

  async #end(): Promise<{ readonly text: string; readonly usage: Usage }> {
    for (;;) {
      if (this.#final !== undefined) return this.#final;
      this.#expectAlive();
      await this.#woken();
    }
  }

  async #woken(): Promise<void> {
    await new Promise<void>((resolve) => {
      this.#wake = resolve;
    });
    this.#wake = undefined;
  }
}
