import type { YapClientType } from '@voice-fleet/protocol/yap';
import type { Clock, Timer } from '@voice-fleet/runtime/clock';
import { BYTES_PER_SAMPLE, SAMPLE_RATE } from '@voice-fleet/speech/pcm';
import { ReplayBuffer } from '@voice-fleet/speech/replay-buffer';
import { YapAudioGone, YapBufferFull, YapProtocolError } from './yap-errors.ts';
import type { UtteranceOutput } from './yap-utterance.ts';

/** Twice what a session may go without a connection. */
export const MAX_KEPT_S = 120;
const MAX_KEPT_SAMPLES = MAX_KEPT_S * SAMPLE_RATE;
/** Frames are JSON: what waits in the socket is no more than this, the rest stays here. */
const MAX_BUFFERED_BYTES = 1024 * 1024;
/**
 * What a server takes at once without dropping any: 30 s of an utterance it goes on with, 5 s of a new one. Less, as some of
 * it may be there already.
 */
const RESUME_BURST_SAMPLES = 25 * SAMPLE_RATE;
const START_BURST_SAMPLES = 4 * SAMPLE_RATE;
/** Beyond, faster than speech, and slower than any engine that has room for others. */
const CATCH_UP_SPEED = 2;
const TICK_MS = 80;
const TICK_SAMPLES = (TICK_MS / 1000) * SAMPLE_RATE * CATCH_UP_SPEED;

interface OutboxDeps {
  readonly clock: Clock;
  readonly send: (type: YapClientType, payload: object) => void;
  readonly bufferedBytes: () => number;
}

/**
 * The audio of one utterance on its way out, kept until the server needs it no more. Bounded to 120 s: what was sent makes room
 * for what is new, oldest first; what was not stays, and `audio` throws YapBufferFull when no room is left.
 */
export class UtteranceOutbox implements UtteranceOutput {
  readonly #deps: OutboxDeps;
  readonly #audio = new ReplayBuffer(MAX_KEPT_SAMPLES, 0);
  /** There is a connection whose server knows of the utterance. */
  #live = false;
  #sentSample = 0;
  /** How far may be sent now; only while it catches up. */
  #allowedSample = Number.POSITIVE_INFINITY;
  #timer: Timer | undefined;
  #finished = false;
  #finishSent = false;
  #stopped = false;

  constructor(deps: OutboxDeps) {
    this.#deps = deps;
  }

  get live(): boolean {
    return this.#live;
  }

  /** Its client decides when there is a server to begin at. */
  start(): void {}

  /** Throws YapBufferFull, and takes nothing, when too much waits for a connection. Nothing happens once it has ended. */
  audio(pcm: Buffer): void {
    if (this.#stopped) return;
    if (this.#finished) throw new Error('The utterance is finalised: it takes no more audio.');
    const keepFrom = this.#audio.endSample + pcm.length / BYTES_PER_SAMPLE - MAX_KEPT_SAMPLES;
    if (keepFrom > this.#audio.fromSample && keepFrom > this.#sentSample) {
      throw new YapBufferFull(
        `${MAX_KEPT_S} s of audio wait for a connection. Append again when the session goes on.`,
      );
    }
    this.#audio.append(pcm);
    this.#pump();
  }

  finish(): void {
    this.#finished = true;
    this.#pump();
  }

  /** Begins it at a server that knows nothing of it. `late`: audio has waited for that. */
  begin(late: boolean): void {
    this.#expectKept(0);
    this.#deps.send('input_audio_buffer.commit', { final: false });
    this.#goOn(0, late ? START_BURST_SAMPLES : undefined);
  }

  /** Goes on at a server that has all audio before `fromSample`. */
  resume(fromSample: number): void {
    if (fromSample > this.#audio.endSample) {
      throw new YapProtocolError(
        `The server asked for audio from sample ${fromSample} on; there are ${this.#audio.endSample}.`,
      );
    }
    this.#expectKept(fromSample);
    this.#goOn(fromSample, RESUME_BURST_SAMPLES);
  }

  /** The connection is lost; until the next, nothing can be known to have arrived. */
  hold(): void {
    this.#live = false;
    this.#sentSample = this.#audio.fromSample;
    this.#cancelTimer();
  }

  /** No server will ask for audio before this sample. */
  keepFrom(sample: number): void {
    this.#audio.forgetBefore(Math.min(sample, this.#sentSample));
  }

  stop(): void {
    this.#stopped = true;
    this.#live = false;
    this.#audio.forgetBefore(this.#audio.endSample);
    this.#cancelTimer();
  }

  #expectKept(sample: number): void {
    const { fromSample } = this.#audio;
    if (sample >= fromSample) return;
    throw new YapAudioGone(
      `The server needs audio from sample ${sample} on, and what is kept begins at ${fromSample}.`,
    );
  }

  #goOn(fromSample: number, burstSamples = Number.POSITIVE_INFINITY): void {
    this.#live = true;
    this.#finishSent = false;
    this.#sentSample = fromSample;
    this.#allowedSample = fromSample + burstSamples;
    this.#pump();
  }

  #pump(): void {
    if (!this.#live) return;
    while (this.#sentSample < this.#limit()) this.#sendPieces();
    if (this.#sentSample < this.#audio.endSample) {
      this.#timer ??= this.#deps.clock.every(TICK_MS, () => this.#tick());
      return;
    }
    // From here on audio comes as fast as the caller has it.
    this.#allowedSample = Number.POSITIVE_INFINITY;
    this.#cancelTimer();
    if (!this.#finished || this.#finishSent) return;
    this.#finishSent = true;
    this.#deps.send('input_audio_buffer.commit', { final: true });
  }

  #sendPieces(): void {
    for (const piece of this.#audio.pieces(this.#sentSample)) {
      const samples = Math.min(piece.length / BYTES_PER_SAMPLE, this.#limit() - this.#sentSample);
      if (samples <= 0) return;
      const pcm = piece.subarray(0, samples * BYTES_PER_SAMPLE);
      this.#deps.send('input_audio_buffer.append', { audio: pcm.toString('base64') });
      this.#sentSample += samples;
    }
  }

  #limit(): number {
    if (this.#deps.bufferedBytes() > MAX_BUFFERED_BYTES) return this.#sentSample;
    return Math.min(this.#allowedSample, this.#audio.endSample);
  }

  #tick(): void {
    this.#allowedSample += TICK_SAMPLES;
    this.#pump();
  }

  #cancelTimer(): void {
    this.#timer?.cancel();
    this.#timer = undefined;
  }
}
