import { CaptureError } from './capture.js';

const RATE = 16_000;
const FRAME_SAMPLES = 1_600;
/** A timer of a page in the background comes once in a second: so much may be sent at once. */
const MAX_CATCH_UP_FRAMES = 15;
const MAX_BYTES = 100 * 1024 * 1024;
const MAX_SECONDS = 600;

/** A recording as mono PCM16 at 16 kHz. Throws a CaptureError. */
export async function decodeFile(file) {
  if (file.size > MAX_BYTES) throw new CaptureError('FILE_TOO_LONG');
  const bytes = await file.arrayBuffer();
  // Such a context brings whatever is decoded in it to its own rate.
  const context = new OfflineAudioContext(1, 1, RATE);
  const audio = await context.decodeAudioData(bytes).catch((error) => {
    throw new CaptureError('FILE_UNREADABLE', error);
  });
  if (audio.duration > MAX_SECONDS) throw new CaptureError('FILE_TOO_LONG');
  if (audio.length === 0) throw new CaptureError('FILE_UNREADABLE');
  return toPcm(audio);
}

/** The mean of all channels. */
function toPcm(audio) {
  const channels = Array.from({ length: audio.numberOfChannels }, (_, index) =>
    audio.getChannelData(index),
  );
  return Int16Array.from({ length: audio.length }, (_, index) => {
    const sum = channels.reduce((total, channel) => total + channel[index], 0);
    return Math.round(Math.max(-1, Math.min(1, sum / channels.length)) * 0x7fff);
  });
}

/** Sends a recording as fast as it would be spoken. */
export class FileSource {
  #pcm;
  #onFrame;
  #onEnd;
  #now;
  #at = 0;
  #timer;

  constructor({ pcm, onFrame, onEnd, now = () => performance.now() }) {
    this.#pcm = pcm;
    this.#onFrame = onFrame;
    this.#onEnd = onEnd;
    this.#now = now;
  }

  /** 0 to 1. */
  get progress() {
    return this.#at / this.#pcm.length;
  }

  /** Begins, or goes on where `pause` left it. */
  play() {
    if (this.#timer !== undefined) return;
    const fromMs = this.#now() - (this.#at / RATE) * 1_000;
    this.#timer = setInterval(() => this.#sendUntil(this.#now() - fromMs), 50);
  }

  pause() {
    clearInterval(this.#timer);
    this.#timer = undefined;
  }

  #sendUntil(ms) {
    const due = Math.floor((ms / 1_000) * RATE);
    for (let sent = 0; sent < MAX_CATCH_UP_FRAMES && this.#at + FRAME_SAMPLES <= due; sent += 1) {
      const frame = this.#pcm.slice(this.#at, this.#at + FRAME_SAMPLES);
      this.#at += frame.length;
      if (frame.length > 0) this.#onFrame(frame.buffer, levelOf(frame));
      if (this.#at >= this.#pcm.length) {
        this.pause();
        this.#onEnd();
        return;
      }
      // Whoever takes the frame may have said that it is enough.
      if (this.#timer === undefined) return;
    }
  }
}

function levelOf(frame) {
  let squares = 0;
  for (const sample of frame) squares += (sample / 0x8000) ** 2;
  return Math.sqrt(squares / frame.length);
}
