const RATE = 16_000;

/** Why no audio came; `code` is one of explain.js. */
export class CaptureError extends Error {
  constructor(code, cause) {
    super(code, { cause });
    this.code = code;
  }
}

const CODES = {
  NotAllowedError: 'MIC_REFUSED',
  SecurityError: 'MIC_REFUSED',
  NotFoundError: 'MIC_ABSENT',
  OverconstrainedError: 'MIC_ABSENT',
  NotReadableError: 'MIC_BUSY',
  AbortError: 'MIC_BUSY',
};

/** The microphone as PCM16 frames of 100 ms at 16 kHz, from `open` to `close`. */
export class Microphone {
  #onFrame;
  #onLost;
  #opening;
  #open;

  /** `onFrame(pcm, level)` gets an ArrayBuffer and 0 to 1; `onLost()` is called when the device goes away. */
  constructor({ onFrame, onLost }) {
    this.#onFrame = onFrame;
    this.#onLost = onLost;
  }

  get isOpen() {
    return this.#open !== undefined;
  }

  /** Throws a CaptureError. */
  async open() {
    if (this.#open) return;
    this.#opening ??= this.#start().finally(() => {
      this.#opening = undefined;
    });
    await this.#opening;
  }

  close() {
    const open = this.#open;
    if (open === undefined) return;
    this.#open = undefined;
    open.node.port.onmessage = null;
    for (const track of open.stream.getTracks()) track.stop();
    void open.context.close();
  }

  async #start() {
    // Absent where the page did not come over https or from this machine.
    if (!navigator.mediaDevices?.getUserMedia) throw new CaptureError('MIC_INSECURE');
    if (typeof AudioWorkletNode === 'undefined') throw new CaptureError('MIC_UNSUPPORTED');
    const stream = await navigator.mediaDevices
      .getUserMedia({
        audio: {
          channelCount: 1,
          echoCancellation: true,
          noiseSuppression: true,
          autoGainControl: true,
        },
      })
      .catch((error) => {
        throw new CaptureError(CODES[error.name] ?? 'MIC_BUSY', error);
      });
    try {
      const { context, source } = connect(stream);
      await context.audioWorklet.addModule(new URL('./worklet.js', import.meta.url));
      const options = { numberOfOutputs: 0, channelCount: 1, channelCountMode: 'explicit' };
      const node = new AudioWorkletNode(context, 'pcm-frames', options);
      node.port.onmessage = ({ data }) => this.#onFrame(data.pcm, data.level);
      source.connect(node);
      await context.resume();
      for (const track of stream.getTracks()) {
        track.addEventListener('ended', () => {
          this.close();
          this.#onLost();
        });
      }
      this.#open = { stream, context, node };
    } catch (error) {
      for (const track of stream.getTracks()) track.stop();
      throw new CaptureError('MIC_UNSUPPORTED', error);
    }
  }
}

/** At 16 kHz where the browser joins a microphone to such a context; Firefox does not, and the worklet resamples. */
function connect(stream) {
  const wanted = new AudioContext({ sampleRate: RATE, latencyHint: 'interactive' });
  try {
    return { context: wanted, source: wanted.createMediaStreamSource(stream) };
  } catch {
    void wanted.close();
    const context = new AudioContext({ latencyHint: 'interactive' });
    return { context, source: context.createMediaStreamSource(stream) };
  }
}
