import { PlayOrder } from './play-order.js';

/** Time to get the first sample out of the door. */
const LEAD_S = 0.02;

/** Speaks phrases one after the other, in the order of their numbers, and falls silent at once when told to. */
export class Playback {
  #onIdle;
  #order = new PlayOrder();
  #sources = new Set();
  #decoding = 0;
  #endsAt = 0;
  /** Changes with each stop: what was still being decoded then is not played. */
  #generation = 0;
  #volume;
  #graph;
  /** The loudest sample that left this page, before the volume. */
  peak = 0;
  phrases = 0;

  /** `onIdle()` is called when the last phrase has ended. */
  constructor({ volume, onIdle }) {
    this.#volume = volume;
    this.#onIdle = onIdle;
  }

  /** Whether something sounds or is about to. */
  get active() {
    return this.#decoding > 0 || this.#sources.size > 0;
  }

  /** 0 to 1. */
  set volume(value) {
    this.#volume = value;
    const { context, gain } = this.#graph ?? {};
    // A jump would click.
    gain?.gain.setTargetAtTime(value, context.currentTime, 0.015);
  }

  /** To be called in a click: browsers let no page make a sound before one. */
  unlock() {
    this.#graph ??= graph(this.#volume);
    void this.#graph.context.resume();
  }

  /** Takes one WAV file in base64, and calls `onHeard()` when it begins to sound. One that cannot be decoded is left out. */
  async add(seq, base64, onHeard) {
    this.unlock();
    const generation = this.#generation;
    this.#order.expect(seq);
    this.#decoding += 1;
    const buffer = await this.#decode(base64);
    if (generation !== this.#generation) return;
    this.#decoding -= 1;
    const ready = buffer ? this.#order.put(seq, { buffer, onHeard }) : this.#order.skip(seq);
    for (const next of ready) this.#play(next);
    if (!this.active) this.#onIdle();
  }

  /** Silence, now. */
  stop() {
    this.#generation += 1;
    this.#decoding = 0;
    this.#order.clear();
    this.#endsAt = 0;
    const sources = [...this.#sources];
    this.#sources.clear();
    for (const source of sources) source.stop();
  }

  /** How loud it sounds just now, 0 to 1. */
  level() {
    if (this.#graph === undefined || this.#sources.size === 0) return 0;
    const { analyser, samples } = this.#graph;
    analyser.getFloatTimeDomainData(samples);
    let squares = 0;
    for (const sample of samples) {
      squares += sample * sample;
      this.peak = Math.max(this.peak, Math.abs(sample));
    }
    return Math.sqrt(squares / samples.length);
  }

  async #decode(base64) {
    try {
      const bytes = Uint8Array.from(atob(base64), (letter) => letter.charCodeAt(0));
      return await this.#graph.context.decodeAudioData(bytes.buffer);
    } catch {
      return undefined;
    }
  }

  #play({ buffer, onHeard }) {
    const { context, analyser } = this.#graph;
    const source = new AudioBufferSourceNode(context, { buffer });
    source.connect(analyser);
    const at = Math.max(context.currentTime + LEAD_S, this.#endsAt);
    this.#endsAt = at + buffer.duration;
    this.#sources.add(source);
    source.addEventListener('ended', () => {
      if (this.#sources.delete(source) && !this.active) this.#onIdle();
    });
    source.start(at);
    const waitS = at - context.currentTime + (context.outputLatency || 0);
    setTimeout(() => {
      if (!this.#sources.has(source)) return;
      this.phrases += 1;
      onHeard();
    }, waitS * 1_000);
  }
}

function graph(volume) {
  const context = new AudioContext({ latencyHint: 'interactive' });
  const analyser = new AnalyserNode(context, { fftSize: 1_024, smoothingTimeConstant: 0 });
  const gain = new GainNode(context, { gain: volume });
  analyser.connect(gain).connect(context.destination);
  return { context, analyser, gain, samples: new Float32Array(analyser.fftSize) };
}
