import { VLLM_FRAME_SAMPLES, type VllmUsage } from '@voice-fleet/protocol/vllm-realtime';
import { BYTES_PER_SAMPLE } from '@voice-fleet/speech/pcm';
import { kvMib, neededSamples, promptTokens, rightPadSamples } from './arithmetic.ts';
import { AudioFrames } from './audio-frames.ts';
import type { Hearing } from './hearing.ts';

/** Whose utterance it is: told of every step of the engine that concerned it. */
export interface UtteranceOwner {
  /** One token was computed. */
  onToken(text: string): void;
  /** The generation ended as it should. */
  onEnd(): void;
  /** The generation broke. */
  onFailure(message: string): void;
}

export interface UtteranceDeps {
  readonly owner: UtteranceOwner;
  readonly hearing: Hearing;
  readonly delayFrames: number;
  /** Longer than this without a token, and vLLM forgets to feed tokens back; undefined: a build that does not. */
  readonly iterationTimeoutMs: number | undefined;
  readonly nowMs: number;
}

/** What the engine could do for an utterance now: compute a token, end the generation, or nothing. */
export type NextStep = 'token' | 'end' | 'none';

/**
 * One generation: which audio it has, how many tokens came out, and whether the next can be computed. A token needs its
 * audio and the token before it, so an utterance is never in two steps.
 */
export class Utterance {
  readonly owner: UtteranceOwner;
  readonly hearing: Hearing;
  /** Waits for a step, or is in one. Kept by the engine. */
  isQueued = false;
  pendingSinceMs = 0;
  /** MiB of KV cache it holds. Kept by the engine. */
  heldKvMib = 0;
  readonly #deps: UtteranceDeps;
  readonly #audio = new AudioFrames();
  #samples = 0;
  #isComplete = false;
  #deltas = 0;
  #lastTokenMs: number;
  /** The last token never came back: the next one can never be computed, nor the end be found. */
  #isStarved = false;
  #isOver = false;

  constructor(deps: UtteranceDeps) {
    this.#deps = deps;
    this.owner = deps.owner;
    this.hearing = deps.hearing;
    this.#lastTokenMs = deps.nowMs;
  }

  /** Tokens that came out, empty ones included. */
  get deltas(): number {
    return this.#deltas;
  }

  /** Samples taken. */
  get samples(): number {
    return this.#samples;
  }

  /** Bytes of audio that no token has heard yet. */
  get backlogBytes(): number {
    return this.#audio.bytes;
  }

  /** Nothing can come out any more, though the generation is not over. */
  get isStarved(): boolean {
    return this.#isStarved;
  }

  get isOver(): boolean {
    return this.#isOver;
  }

  /** Final was read: no audio follows. */
  get isComplete(): boolean {
    return this.#isComplete;
  }

  /** Length of the sequence in the engine, prompt included. */
  get tokens(): number {
    return promptTokens(this.#deps.delayFrames) + this.#deltas;
  }

  /** KV cache it would hold after its next token, in MiB. */
  get nextKvMib(): number {
    return kvMib(this.tokens + 1);
  }

  get next(): NextStep {
    if (this.#isStarved || this.#isOver) return 'none';
    const { delayFrames } = this.#deps;
    let samples = this.#samples;
    if (this.#isComplete) samples += rightPadSamples(delayFrames);
    const isHeard = this.#samples > 0 && samples >= neededSamples(delayFrames, this.#deltas);
    if (isHeard) return 'token';
    return this.#isComplete ? 'end' : 'none';
  }

  /** What vLLM counts: nothing for an utterance without audio. */
  get usage(): VllmUsage {
    const prompt_tokens = this.#deltas === 0 ? 0 : promptTokens(this.#deps.delayFrames);
    const completion_tokens = this.#deltas;
    return { prompt_tokens, completion_tokens, total_tokens: prompt_tokens + completion_tokens };
  }

  push(pcm: Buffer): void {
    this.#samples += pcm.length / BYTES_PER_SAMPLE;
    this.#audio.push(pcm);
  }

  complete(): void {
    this.#isComplete = true;
  }

  /** The frame that the next token hears. Its memory is used again for the frame after it. */
  takeFrame(): Buffer {
    return this.#audio.take(VLLM_FRAME_SAMPLES * BYTES_PER_SAMPLE);
  }

  /** A token came out. */
  advance(nowMs: number): void {
    const { iterationTimeoutMs } = this.#deps;
    const pauseMs = nowMs - this.#lastTokenMs;
    this.#deltas += 1;
    this.#lastTokenMs = nowMs;
    // The task that feeds tokens back gave up while it waited for this one.
    if (iterationTimeoutMs !== undefined && pauseMs > iterationTimeoutMs) this.#isStarved = true;
  }

  /** From now on nothing comes out, not even an end. */
  starve(): void {
    this.#isStarved = true;
  }

  /** No step is made for it any more. */
  close(): void {
    if (this.#isOver) return;
    this.#isOver = true;
    this.hearing.close?.();
  }
}
