import type { Fvad } from '@echogarden/fvad-wasm';
import { Framer } from '@voice-fleet/speech/framer';
import { BYTES_PER_SAMPLE, SAMPLE_RATE } from '@voice-fleet/speech/pcm';
import type { Vad, VadListener, VadStream } from './vad.ts';

/** 30 ms, the longest that it takes. */
const FRAME_SAMPLES = 480;
const FRAME_BYTES = FRAME_SAMPLES * BYTES_PER_SAMPLE;
/** Until it has heard so much of a stream it takes any noise for a voice: 120 ms. */
const LEARNING_SAMPLES = 4 * FRAME_SAMPLES;
/** The most sceptical. */
const MODE = 3;

/** The detector of WebRTC, in WebAssembly: one state for each stream, judged where the audio comes. */
export class WebrtcVad implements Vad {
  readonly name = 'webrtc' as const;
  readonly #fvad: Fvad;
  /** Where the frame under judgement lies. */
  readonly #frameAt: number;
  readonly #streams = new Set<VadStream>();

  private constructor(fvad: Fvad) {
    this.#fvad = fvad;
    this.#frameAt = fvad._malloc(FRAME_BYTES);
  }

  /** Rejects where the library is not installed or cannot run. */
  static async start(): Promise<WebrtcVad> {
    const { default: load } = await import('@echogarden/fvad-wasm');
    return new WebrtcVad(await load());
  }

  open(listener: VadListener): VadStream {
    const fvad = this.#fvad;
    const handle = fvad._fvad_new();
    if (handle === 0) throw new Error('WebRTC VAD has no memory for another stream');
    fvad._fvad_set_mode(handle, MODE);
    fvad._fvad_set_sample_rate(handle, SAMPLE_RATE);
    let sample = 0;
    const framer = new Framer(FRAME_BYTES, (pcm, fromByte) => {
      if (!this.#streams.has(stream)) return;
      const fromSample = sample;
      sample += FRAME_SAMPLES;
      const voiced = this.#judge(handle, pcm, fromByte);
      listener(fromSample, sample, voiced && sample > LEARNING_SAMPLES);
    });
    const stream: VadStream = {
      push: (pcm) => framer.push(pcm),
      close: () => {
        if (this.#streams.delete(stream)) fvad._fvad_free(handle);
      },
    };
    this.#streams.add(stream);
    return stream;
  }

  async stop(): Promise<void> {
    for (const stream of this.#streams) stream.close();
  }

  #judge(handle: number, pcm: Buffer, fromByte: number): boolean {
    const fvad = this.#fvad;
    // Read anew each time: when the memory grows, the old view of it is void.
    const heap = fvad.HEAP16;
    const at = this.#frameAt / BYTES_PER_SAMPLE;
    for (let nth = 0; nth < FRAME_SAMPLES; nth += 1)
      heap[at + nth] = pcm.readInt16LE(fromByte + nth * BYTES_PER_SAMPLE);
    return fvad._fvad_process(handle, this.#frameAt, FRAME_SAMPLES) === 1;
  }
}
