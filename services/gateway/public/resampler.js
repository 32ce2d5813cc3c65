/** Zero crossings of the sinc on each side: 80 dB, which is more than microphones have. */
const CROSSINGS = 24;
/** Of the lower of both bands; the rest is where the filter falls. */
const PASS = 0.94;
/** Rates with no small common ratio are brought to one this fine. */
const MAX_PHASES = 1_280;

/** Brings mono audio from one rate to another, block by block: a windowed sinc, one filter for each phase. */
export class Resampler {
  #step;
  #phases;
  #half;
  #filters;
  #history;
  /** Where the next sample lies, in phases from the middle of the history's filter. */
  #position = 0;

  constructor(fromRate, toRate) {
    const shared = gcd(Math.round(fromRate), Math.round(toRate));
    this.#phases = Math.min(MAX_PHASES, Math.round(toRate) / shared);
    this.#step = Math.round((fromRate / toRate) * this.#phases);
    const cutoff = Math.min(1, toRate / fromRate) * PASS;
    this.#half = Math.ceil(CROSSINGS / cutoff);
    this.#filters = filters(this.#phases, this.#half, cutoff);
    this.#history = new Float32Array(2 * this.#half);
  }

  /** As many samples as the block brings; the filter's tail waits for the next block. */
  process(block) {
    const taps = 2 * this.#half;
    const input = new Float32Array(this.#history.length + block.length);
    input.set(this.#history);
    input.set(block, this.#history.length);
    const output = [];
    for (;;) {
      const first = Math.floor(this.#position / this.#phases);
      if (first + taps > input.length) break;
      output.push(dot(input, first, this.#filters[this.#position % this.#phases]));
      this.#position += this.#step;
    }
    const used = Math.min(Math.floor(this.#position / this.#phases), input.length);
    this.#history = input.slice(used);
    this.#position -= used * this.#phases;
    return Float32Array.from(output);
  }
}

function dot(input, first, filter) {
  let sum = 0;
  for (let tap = 0; tap < filter.length; tap += 1) sum += input[first + tap] * filter[tap];
  return sum;
}

/** For each fraction of a sample a sinc under a Blackman-Harris window, all with the gain 1. */
function filters(phases, half, cutoff) {
  return Array.from({ length: phases }, (_, phase) => {
    const filter = new Float32Array(2 * half);
    let sum = 0;
    for (let tap = 0; tap < filter.length; tap += 1) {
      const at = tap - half + 1 - phase / phases;
      filter[tap] = sinc(at * cutoff) * blackmanHarris(at / half);
      sum += filter[tap];
    }
    return filter.map((value) => value / sum);
  });
}

function sinc(x) {
  return x === 0 ? 1 : Math.sin(Math.PI * x) / (Math.PI * x);
}

/** 1 in the middle, 0 from -1 and 1 on. */
function blackmanHarris(x) {
  if (Math.abs(x) >= 1) return 0;
  const cos = (factor) => Math.cos(factor * Math.PI * x);
  return 0.35875 + 0.48829 * cos(1) + 0.14128 * cos(2) + 0.01168 * cos(3);
}

function gcd(a, b) {
  return b === 0 ? a : gcd(b, a % b);
}
