import { afterClose, delayBeforeTry } from './reconnect.js';

const OPEN_TIMEOUT_MS = 10_000;
/** Ten seconds of audio that the network has not taken: what comes now is let go. */
const MAX_BUFFERED_BYTES = 320_000;

/**
 * A connection to the voice pipeline that comes back by itself. `onState` tells `closed`, `connecting`, `queued`, `open` and
 * `waiting` (for the next try, with `inMs` and `attempt`); `onFrame` gets every frame of the server.
 */
export class VoiceSocket {
  #url;
  #onFrame;
  #onState;
  #socket;
  #timer;
  #attempt = 0;
  #fatal;
  #waiters = [];
  state = 'closed';
  /** Frames that the network was too slow for. */
  dropped = 0;

  /** `url()` gives the address for each try. */
  constructor({ url, onFrame, onState }) {
    this.#url = url;
    this.#onFrame = onFrame;
    this.#onState = onState;
  }

  /** True when sessions may speak; false when it came to nothing, which `onState` has told. Tries at once. */
  connect() {
    if (this.state === 'open') return Promise.resolve(true);
    const result = new Promise((resolve) => this.#waiters.push(resolve));
    if (this.state === 'closed' || this.state === 'waiting') {
      this.#attempt = 0;
      this.#dial();
    }
    return result;
  }

  /** Leaves for good, or until the next `connect`. */
  close() {
    this.#drop();
    this.#tell('closed', { reason: 'left' });
    this.#settle(false);
  }

  send(frame) {
    if (this.state === 'open') this.#socket.send(JSON.stringify(frame));
  }

  /** PCM16 LE, mono, 16 kHz. */
  sendAudio(pcm) {
    if (this.state !== 'open') return;
    if (this.#socket.bufferedAmount > MAX_BUFFERED_BYTES) this.dropped += 1;
    else this.#socket.send(pcm);
  }

  #dial() {
    this.#drop();
    this.#fatal = undefined;
    this.#tell('connecting', { attempt: this.#attempt });
    const socket = new WebSocket(this.#url());
    socket.binaryType = 'arraybuffer';
    this.#socket = socket;
    this.#timer = setTimeout(() => this.#onClosed(socket, 1006, ''), OPEN_TIMEOUT_MS);
    socket.onopen = () => clearTimeout(this.#timer);
    socket.onmessage = ({ data }) => this.#receive(data);
    socket.onclose = ({ code, reason }) => this.#onClosed(socket, code, reason);
  }

  #receive(data) {
    const frame = parse(data);
    if (frame === undefined) return;
    if (frame.type === 'error' && !frame.recoverable) this.#fatal = frame;
    else if (frame.code === 'QUEUED') this.#tell('queued', {});
    else if (this.state !== 'open') {
      // Admitted: whatever it is, a server says nothing else to those it refuses.
      this.#attempt = 0;
      this.#tell('open', {});
      this.#settle(true);
    }
    this.#onFrame(frame);
  }

  #onClosed(socket, code, reason) {
    if (socket !== this.#socket) return;
    this.#drop();
    const fatal = this.#fatal;
    const next = afterClose({ code, fatal: fatal?.code });
    const inMs = next === 'retry' ? delayBeforeTry(this.#attempt) : undefined;
    if (inMs === undefined) {
      this.#tell('closed', { reason: next === 'retry' ? 'gone' : next, code, text: reason, fatal });
      this.#settle(false);
      return;
    }
    this.#attempt += 1;
    this.#tell('waiting', { attempt: this.#attempt, inMs });
    this.#timer = setTimeout(() => this.#dial(), inMs);
  }

  #drop() {
    clearTimeout(this.#timer);
    const socket = this.#socket;
    this.#socket = undefined;
    if (socket === undefined) return;
    socket.onopen = socket.onmessage = socket.onclose = null;
    socket.close(1000);
  }

  #tell(state, facts) {
    this.state = state;
    this.#onState({ state, ...facts });
  }

  #settle(value) {
    for (const resolve of this.#waiters.splice(0)) resolve(value);
  }
}

function parse(data) {
  try {
    const frame = JSON.parse(data);
    return typeof frame?.type === 'string' ? frame : undefined;
  } catch {
    return undefined;
  }
}
