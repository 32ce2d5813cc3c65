import type { Vad, VadListener, VadStream } from '@voice-fleet/asr-worker/vad/vad';
import { Framer } from '@voice-fleet/speech/framer';

const FRAME_SAMPLES = 512;
const FRAME_BYTES = FRAME_SAMPLES * 2;
const SILENCE = Buffer.alloc(FRAME_BYTES);

export interface CodedVad extends Vad {
  /** Streams that were opened and not closed. */
  readonly openStreams: number;
  /** All that were ever opened. */
  readonly streams: number;
  readonly stopped: boolean;
}

/** Knows coded speech: a frame is voiced when a sample of it is not 0. Tells at once. */
export function codedVad(): CodedVad {
  const open = new Set<VadStream>();
  const vad = {
    name: 'coded',
    streams: 0,
    stopped: false,
    get openStreams() {
      return open.size;
    },
    open(listener: VadListener): VadStream {
      let sample = 0;
      const framer = new Framer(FRAME_BYTES, (pcm, fromByte) => {
        const fromSample = sample;
        sample += FRAME_SAMPLES;
        const voiced = SILENCE.compare(pcm, fromByte, fromByte + FRAME_BYTES) !== 0;
        if (open.has(stream)) listener(fromSample, sample, voiced);
      });
      const stream = {
        push: (pcm: Buffer) => framer.push(pcm),
        close: () => void open.delete(stream),
      };
      open.add(stream);
      vad.streams += 1;
      return stream;
    },
    async stop() {
      open.clear();
      vad.stopped = true;
    },
  };
  return vad;
}
