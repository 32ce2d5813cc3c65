import { Microphone } from './capture.js';
import { decodeFile, FileSource } from './file-source.js';

/**
 * Where speech comes from: `open`, a microphone that stays on; `held`, one that is let go; `file`, a recording. Frames go out
 * between `flow` and `hold` only.
 */
export class Input {
  #onAudio;
  #onFileEnd;
  #microphone;
  #file;
  #flowing = false;
  /** Undefined while there is none. */
  how;
  /** Loudness of the last frame, 0 to 1. */
  level = 0;

  /** `onAudio(pcm)` gets 100 ms of PCM16 at 16 kHz; `onLost()` is called when the microphone goes away. */
  constructor({ onAudio, onFileEnd, onLost }) {
    this.#onAudio = onAudio;
    this.#onFileEnd = onFileEnd;
    this.#microphone = new Microphone({
      onFrame: (pcm, level) => this.#take(pcm, level),
      onLost,
    });
  }

  /** Of the recording, 0 to 1. */
  get progress() {
    return this.#file?.progress ?? 0;
  }

  /** Whether there is a recording that was not sent to its end. */
  get unfinished() {
    return this.#file !== undefined && this.#file.progress < 1;
  }

  /** Throws a CaptureError. */
  async open(how, file) {
    this.how = how;
    if (how !== 'file') return this.#microphone.open();
    this.#microphone.close();
    const pcm = await decodeFile(file);
    this.#file = new FileSource({
      pcm,
      onFrame: (frame, level) => this.#take(frame, level),
      onEnd: this.#onFileEnd,
    });
  }

  flow() {
    this.#flowing = true;
    this.#file?.play();
  }

  /** The microphone stays open, a recording waits. */
  hold() {
    this.#flowing = false;
    this.#file?.pause();
  }

  close() {
    this.hold();
    this.#microphone.close();
    this.#file = undefined;
    this.how = undefined;
    this.level = 0;
  }

  #take(pcm, level) {
    this.level = level;
    if (this.#flowing) this.#onAudio(pcm);
  }
}
