/** Slices of so many seconds are laid over each other; long enough for the deepest voice. */
const SLICE_S = 0.04;
/** How far a slice may be moved to fit the one before it: a period of the deepest voice. */
const SEARCH_S = 0.012;
/** Every so many samples are compared while a fit is looked for. */
const STRIDE = 3;

/**
 * Makes mono speech faster or slower and keeps its pitch: slices are taken at one pace and laid down at another, each where it
 * fits the wave of the last one best (WSOLA).
 */
export class TimeStretch {
  readonly #speed: number;
  readonly #hop: number;
  readonly #search: number;
  readonly #fade: Float64Array;
  /** What of the input may still be needed; its first sample is `#from` of the stream. */
  #waiting = new Int16Array(0);
  #from = 0;
  /** Where, in the input, the wave of what was laid down last would go on. */
  #next: number | undefined;
  #slices = 0;
  #pushed = 0;
  #told = 0;

  /** `speed` 2 is twice as fast. Throws RangeError outside of 0.25 to 4. */
  constructor(speed: number, sampleRate: number) {
    if (!(speed >= 0.25 && speed <= 4)) throw new RangeError(`speed ${speed} is not 0.25 to 4`);
    this.#speed = speed;
    this.#hop = Math.round((SLICE_S * sampleRate) / 2);
    this.#search = Math.round(SEARCH_S * sampleRate);
    this.#fade = Float64Array.from(
      { length: this.#hop },
      (_, at) => 0.5 - 0.5 * Math.cos((Math.PI * (at + 0.5)) / this.#hop),
    );
  }

  /** What is certain now. */
  push(pcm: Int16Array): Int16Array {
    this.#pushed += pcm.length;
    if (this.#speed === 1) return pcm;
    this.#append(pcm);
    return this.#take(this.#from + this.#waiting.length);
  }

  /** The rest. The stream is over; all of it is as long as the speed says. */
  flush(): Int16Array {
    if (this.#speed === 1) return new Int16Array(0);
    const wanted = Math.round(this.#pushed / this.#speed) - this.#told;
    if (wanted <= 0) return new Int16Array(0);
    this.#append(new Int16Array(Math.ceil(wanted * this.#speed) + 4 * (this.#hop + this.#search)));
    return this.#take(this.#from + this.#waiting.length).subarray(0, wanted);
  }

  /** Slices for which all that may be looked at is there; `end` is where the input ends. */
  #take(end: number): Int16Array {
    const hop = this.#hop;
    const pieces: Int16Array[] = [];
    for (;;) {
      const ideal = Math.round(this.#slices * hop * this.#speed);
      const reach = Math.max(ideal + this.#search, this.#next ?? 0) + 2 * hop;
      if (reach > end) break;
      const next = this.#next;
      const at = next === undefined ? ideal : this.#align(ideal, next);
      pieces.push(this.#lay(next ?? at, at));
      this.#next = at + hop;
      this.#slices += 1;
      this.#drop(Math.min(this.#next, Math.round(this.#slices * hop * this.#speed) - this.#search));
    }
    const whole = new Int16Array(pieces.length * hop);
    for (const [index, piece] of pieces.entries()) whole.set(piece, index * hop);
    this.#told += whole.length;
    return whole;
  }

  /** The start, near `ideal`, of the slice that is most like what would follow at `next`. */
  #align(ideal: number, next: number): number {
    let best = ideal;
    let bestLikeness = Number.NEGATIVE_INFINITY;
    const from = Math.max(this.#from, ideal - this.#search);
    for (let at = from; at <= ideal + this.#search; at += 1) {
      const likeness = this.#likeness(at, next);
      if (likeness <= bestLikeness) continue;
      bestLikeness = likeness;
      best = at;
    }
    return best;
  }

  #likeness(one: number, other: number): number {
    const waiting = this.#waiting;
    const left = one - this.#from;
    const right = other - this.#from;
    let sum = 0;
    let power = 1;
    for (let at = 0; at < this.#hop; at += STRIDE) {
      const sample = waiting[left + at] as number;
      sum += sample * (waiting[right + at] as number);
      power += sample * sample;
    }
    return sum / Math.sqrt(power);
  }

  /** From the wave that goes on at `old` to that at `fresh`. */
  #lay(old: number, fresh: number): Int16Array {
    const out = new Int16Array(this.#hop);
    for (let at = 0; at < out.length; at += 1) {
      const share = this.#fade[at] as number;
      const before = this.#waiting[old - this.#from + at] as number;
      const after = this.#waiting[fresh - this.#from + at] as number;
      out[at] = Math.round(before + share * (after - before));
    }
    return out;
  }

  #append(pcm: Int16Array): void {
    const whole = new Int16Array(this.#waiting.length + pcm.length);
    whole.set(this.#waiting);
    whole.set(pcm, this.#waiting.length);
    this.#waiting = whole;
  }

  #drop(until: number): void {
    const count = Math.min(until - this.#from, this.#waiting.length);
    if (count <= 0) return;
    this.#waiting = this.#waiting.subarray(count);
    this.#from += count;
  }
}
