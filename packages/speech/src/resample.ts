/** What would alias is so far below the signal. */
const ATTENUATION_DB = 90;
/** The filter passes what is below this part of the lower Nyquist frequency, and nothing above all of it. */
const PASS = 0.9;
/** Points of the filter for each sample of the lower rate; between them it is interpolated, with an error below -100 dB. */
const POINTS = 1024;
/** As many as there are rates in use. */
const KERNELS_KEPT = 16;
/** Further apart than these, rates would need a filter without end. */
const MIN_RATE = 1_000;
const MAX_RATE = 768_000;
const INT16_SCALE = 32_768;

interface Kernel {
  /** Those of each phase, one after the other; behind the last the first again, a sample later. */
  readonly taps: Float64Array;
  /** Taps of a phase; even. */
  readonly length: number;
  readonly phases: number;
  /** A sample out comes every `step / denominator` samples in. */
  readonly step: number;
  readonly denominator: number;
}

/** Changes the sample rate of a mono stream, by a windowed sinc. Nothing is delayed: the first sample out lies at the first in. */
export class Resampler {
  readonly #kernel: Kernel | undefined;
  /** `#length` samples; those before `#index` are done with. */
  #waiting = new Float64Array(0);
  #length = 0;
  /** Where the taps of the next sample out begin, and by how many denominators it is later than that. */
  #index = 0;
  #remainder = 0;

  /** Throws RangeError for rates that are not whole numbers from 1000 to 768000 Hz. */
  constructor(fromRate: number, toRate: number) {
    for (const rate of [fromRate, toRate]) {
      if (!Number.isInteger(rate) || rate < MIN_RATE || rate > MAX_RATE)
        throw new RangeError(`cannot resample from ${fromRate} to ${toRate} Hz`);
    }
    if (fromRate === toRate) return;
    this.#kernel = kernelFor(fromRate, toRate);
    this.#append(new Int16Array(this.#kernel.length / 2 - 1), 1);
  }

  /** What is certain now. Floats are from -1 to 1: what is beyond is clipped, and what is no number is silence. */
  push(pcm: Int16Array | Float32Array): Int16Array {
    const scale = pcm instanceof Float32Array ? INT16_SCALE : 1;
    if (!this.#kernel) return Int16Array.from(pcm, (sample) => toInt16(sample * scale));
    this.#append(pcm, scale);
    return this.#take(this.#kernel);
  }

  /** The rest, as if silence followed. The stream is over. */
  flush(): Int16Array {
    if (!this.#kernel) return new Int16Array(0);
    this.#append(new Int16Array(this.#kernel.length / 2), 1);
    return this.#take(this.#kernel);
  }

  #append(pcm: Int16Array | Float32Array, scale: number): void {
    const kept = this.#length - this.#index;
    const length = kept + pcm.length;
    const from = this.#waiting;
    if (length > from.length) this.#waiting = new Float64Array(2 * length);
    this.#waiting.set(from.subarray(this.#index, this.#length));
    for (let at = 0; at < pcm.length; at += 1) {
      const sample = (pcm[at] as number) * scale;
      this.#waiting[kept + at] = Number.isNaN(sample) ? 0 : clip(sample);
    }
    this.#index = 0;
    this.#length = length;
  }

  #take({ taps, length, phases, step, denominator }: Kernel): Int16Array {
    const out = new Int16Array(Math.ceil((this.#length * denominator) / step) + 1);
    const waiting = this.#waiting;
    let count = 0;
    while (this.#index + length <= this.#length) {
      const point = (this.#remainder * phases) / denominator;
      const phase = Math.floor(point);
      let sample = dot(waiting, this.#index, taps, phase * length, length);
      if (phase !== point) {
        const next = dot(waiting, this.#index, taps, (phase + 1) * length, length);
        sample += (point - phase) * (next - sample);
      }
      out[count] = toInt16(sample);
      count += 1;
      this.#remainder += step;
      const samples = Math.floor(this.#remainder / denominator);
      this.#index += samples;
      this.#remainder -= samples * denominator;
    }
    return out.subarray(0, count);
  }
}

/** All of `pcm` at another rate. Floats are from -1 to 1. Throws RangeError as `Resampler` does. */
export function resample(
  pcm: Int16Array | Float32Array,
  fromRate: number,
  toRate: number,
): Int16Array {
  const resampler = new Resampler(fromRate, toRate);
  const most = resampler.push(pcm);
  const rest = resampler.flush();
  const whole = new Int16Array(most.length + rest.length);
  whole.set(most);
  whole.set(rest, most.length);
  return whole;
}

/** Of the pairs of rates used last: there are few, and a filter takes longer to make than a second of audio to pass through it. */
const kernels = new Map<string, Kernel>();

function kernelFor(fromRate: number, toRate: number): Kernel {
  const name = `${fromRate} ${toRate}`;
  const kernel = kernels.get(name) ?? makeKernel(fromRate, toRate);
  kernels.delete(name);
  kernels.set(name, kernel);
  for (const oldest of kernels.keys()) {
    if (kernels.size <= KERNELS_KEPT) break;
    kernels.delete(oldest);
  }
  return kernel;
}

/** Kaiser's design: its two constants give window and length for an attenuation and a width of the slope. */
function makeKernel(fromRate: number, toRate: number): Kernel {
  const divisor = gcd(fromRate, toRate);
  const denominator = toRate / divisor;
  /** Samples in for each of the lower rate. */
  const ratio = Math.max(1, fromRate / toRate);
  const slope = (Math.PI * (1 - PASS)) / ratio;
  const half = Math.ceil((ATTENUATION_DB - 8) / (2.285 * slope) / 2);
  const beta = 0.1102 * (ATTENUATION_DB - 8.7);
  const cutoff = (1 + PASS) / 2 / ratio;
  const length = 2 * half;
  const phases = Math.min(denominator, Math.ceil(POINTS / ratio));
  const taps = new Float64Array((phases + 1) * length);
  for (let phase = 0; phase <= phases; phase += 1) {
    let sum = 0;
    for (let tap = 0; tap < length; tap += 1) {
      const distance = tap - (half - 1) - phase / phases;
      const inside = 1 - (distance / half) ** 2;
      const window = inside < 0 ? 0 : bessel(beta * Math.sqrt(inside));
      const value = window * sinc(cutoff * distance);
      taps[phase * length + tap] = value;
      sum += value;
    }
    // A steady level comes out of each phase as it went in.
    for (let tap = 0; tap < length; tap += 1)
      taps[phase * length + tap] = (taps[phase * length + tap] as number) / sum;
  }
  return { taps, length, phases, step: fromRate / divisor, denominator };
}

function dot(
  left: Float64Array,
  leftFrom: number,
  right: Float64Array,
  rightFrom: number,
  length: number,
): number {
  let sum = 0;
  for (let at = 0; at < length; at += 1)
    sum += (left[leftFrom + at] as number) * (right[rightFrom + at] as number);
  return sum;
}

function clip(sample: number): number {
  return Math.max(-INT16_SCALE, Math.min(INT16_SCALE, sample));
}

function toInt16(sample: number): number {
  return Math.max(-INT16_SCALE, Math.min(INT16_SCALE - 1, Math.round(sample)));
}

function sinc(x: number): number {
  return x === 0 ? 1 : Math.sin(Math.PI * x) / (Math.PI * x);
}

/** Modified Bessel function of the first kind, order 0, as its power series. */
function bessel(x: number): number {
  let sum = 1;
  let term = 1;
  for (let k = 1; term > sum * 1e-12; k += 1) {
    term *= (x / (2 * k)) ** 2;
    sum += term;
  }
  return sum;
}

function gcd(a: number, b: number): number {
  return b === 0 ? a : gcd(b, a % b);
}
