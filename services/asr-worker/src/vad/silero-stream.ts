import { Framer } from '@voice-fleet/speech/framer';
import { BYTES_PER_SAMPLE } from '@voice-fleet/speech/pcm';
import { EnergyJudge, FRAME_BYTES, FRAME_SAMPLES } from './energy-vad.ts';
import { FrameQueue } from './frame-queue.ts';
import { CONTEXT_SAMPLES, INPUT_SAMPLES } from './silero-model.ts';
import type { VadListener, VadStream } from './vad.ts';

/** One second: so long after the last stir of the level the network is still asked. */
const HANG_FRAMES = 31;
/** 65 s, 2.3 MiB: more than another worker leaves to be heard again. */
const MAX_FRAMES = 2_048;
const VOICED_FROM = 0.5;
/** Marks of frames that wait: what energy says of them, or that the network need not be asked. */
const QUIET = 0;
const LOUD = 1;
const GATED = 2;

/** Who decided a frame: the network; energy, because nothing stirred; or energy, because the network was too late. */
export type Decider = 'model' | 'gate' | 'late';

export interface SileroStreamDeps {
  readonly id: number;
  readonly now: () => number;
  readonly listener: VadListener;
  readonly onDecided: (by: Decider) => void;
  /** There is something to judge. */
  readonly onWaiting: (stream: SileroStream) => void;
  readonly onClosed: (stream: SileroStream) => void;
}

/** The frames of one stream until they are judged, in order: those in which nothing stirs need no network. */
export class SileroStream implements VadStream {
  readonly id: number;
  readonly #deps: SileroStreamDeps;
  readonly #judge = new EnergyJudge();
  readonly #queue = new FrameQueue(INPUT_SAMPLES, MAX_FRAMES);
  readonly #framer = new Framer(FRAME_BYTES, (pcm, fromByte) => this.#onFrame(pcm, fromByte));
  /** What lies before the next frame. */
  readonly #context = new Int16Array(CONTEXT_SAMPLES);
  #hang = HANG_FRAMES;
  #told = 0;
  /** The first frame is with the network. */
  #asked = false;
  #closed = false;

  constructor(deps: SileroStreamDeps) {
    this.id = deps.id;
    this.#deps = deps;
  }

  push(pcm: Buffer): void {
    if (!this.#closed) this.#framer.push(pcm);
  }

  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#deps.onClosed(this);
  }

  /** Frames wait for the network, and none is there. */
  get waiting(): boolean {
    return !this.#closed && !this.#asked && this.#queue.length > 0;
  }

  /** Hands out the first frame with its context. Only while it is `waiting`. */
  ask(): Int16Array {
    this.#asked = true;
    return this.#queue.headFrame;
  }

  /** What the network says of the frame it was asked for; too late if that was decided meanwhile. */
  answer(voice: number): void {
    if (!this.#asked || this.#closed) return;
    this.#tell(voice >= VOICED_FROM, 'model');
  }

  /** Frames that came before `atMs` are decided by energy. */
  giveUpBefore(atMs: number): void {
    while (!this.#closed && this.#queue.length > 0 && this.#queue.headMs < atMs)
      this.#tell(this.#queue.headMark === LOUD, 'late');
  }

  #onFrame(pcm: Buffer, fromByte: number): void {
    if (this.#closed) return;
    const loud = this.#judge.isVoiced(pcm, fromByte);
    this.#hang = this.#judge.stirs ? HANG_FRAMES : this.#hang - 1;
    if (this.#hang <= 0 && this.#queue.length === 0) {
      this.#keepContext(pcm, fromByte);
      return this.#report(false, 'gate');
    }
    if (this.#queue.full) this.#tell(this.#queue.headMark === LOUD, 'late');
    const mark = this.#hang <= 0 ? GATED : loud ? LOUD : QUIET;
    const frame = this.#queue.add(this.#deps.now(), mark);
    frame.set(this.#context);
    for (let nth = 0; nth < FRAME_SAMPLES; nth += 1)
      frame[CONTEXT_SAMPLES + nth] = pcm.readInt16LE(fromByte + nth * BYTES_PER_SAMPLE);
    this.#context.set(frame.subarray(FRAME_SAMPLES));
    this.#deps.onWaiting(this);
  }

  #keepContext(pcm: Buffer, fromByte: number): void {
    const from = fromByte + FRAME_BYTES - CONTEXT_SAMPLES * BYTES_PER_SAMPLE;
    for (let nth = 0; nth < CONTEXT_SAMPLES; nth += 1)
      this.#context[nth] = pcm.readInt16LE(from + nth * BYTES_PER_SAMPLE);
  }

  /** Decides the first frame of those that wait, and with it those behind it that need no network. */
  #tell(voiced: boolean, by: Decider): void {
    this.#asked = false;
    this.#queue.shift();
    this.#report(voiced, by);
    while (!this.#closed && this.#queue.length > 0 && this.#queue.headMark === GATED) {
      this.#queue.shift();
      this.#report(false, 'gate');
    }
  }

  #report(voiced: boolean, by: Decider): void {
    const fromSample = this.#told;
    this.#told += FRAME_SAMPLES;
    this.#deps.onDecided(by);
    this.#deps.listener(fromSample, this.#told, voiced);
  }
}
