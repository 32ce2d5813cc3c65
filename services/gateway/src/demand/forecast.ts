export interface ForecastOptions {
  /** Times over which arrivals are counted, in ms, ascending. */
  readonly windowsMs?: readonly number[];
  /** A rise in arrivals counts as far as it is more than so many times what chance makes of them. */
  readonly doubt?: number;
}

interface Sample {
  readonly atMs: number;
  /** Sessions that have a slot, or want one. */
  readonly sessions: number;
  /** Sessions that have come since the first sample. */
  readonly came: number;
  /** Session-milliseconds since then. */
  readonly spentMs: number;
}

interface Arrivals {
  /** Per ms. */
  readonly rate: number;
  /** Middle of the time over which that was. */
  readonly atMs: number;
  /** By how much the rate grows per ms, as far as chance does not explain it. */
  readonly rise: number;
}

const WINDOWS_MS = [180_000, 360_000];
const DOUBT = 1.5;
/** How long sessions last is learnt from so much of the past. */
const MEMORY_MS = 1_800_000;
/** That is not known before so many have ended. */
const MIN_ENDED = 10;
/** A window counts when samples reach back over so much of it. */
const COVERED = 0.9;
/** Samples of the memory, a second apart. */
const MAX_SAMPLES = 1_801;

/**
 * Tells how many sessions there will be. Of those that run, some will have ended by then, as long as sessions last on the average;
 * and as many will have come as come now, more if arrivals rise (Little's law, looking ahead). That sees a ramp before the number of
 * sessions shows it, and its end before they stop growing. Arrivals are counted over two times: the longer is the quieter one
 * and holds, until the shorter contradicts it. Pure: time comes with the samples.
 */
export class Forecast {
  readonly #windowsMs: readonly number[];
  readonly #doubt: number;
  #samples: Sample[] = [];

  constructor(options: ForecastOptions = {}) {
    this.#windowsMs = options.windowsMs ?? WINDOWS_MS;
    this.#doubt = options.doubt ?? DOUBT;
  }

  /** `came`: since the last sample. A sample that is not later than the last is left out. */
  note(atMs: number, sessions: number, came: number): void {
    const last = this.#samples.at(-1);
    const sinceMs = last === undefined ? 0 : atMs - last.atMs;
    if (last !== undefined && sinceMs <= 0) return;
    this.#samples.push({
      atMs,
      sessions,
      came: (last?.came ?? 0) + came,
      spentMs: (last?.spentMs ?? 0) + (sinceMs * (sessions + (last?.sessions ?? 0))) / 2,
    });
    const kept = this.#samples.findIndex((sample) => sample.atMs >= atMs - MEMORY_MS);
    this.#samples = this.#samples.slice(Math.max(kept, this.#samples.length - MAX_SAMPLES));
  }

  /** Whether there was nothing for as long as it remembers. */
  get idle(): boolean {
    return this.#samples.every(({ sessions }) => sessions === 0);
  }

  /** Sessions that there will be more than now, after `aheadMs`. Never below 0: whom to let go is not for a forecast to say. */
  growth(aheadMs: number): number {
    const last = this.#samples.at(-1);
    const lastsMs = this.#meanMs();
    if (last === undefined || lastsMs === undefined) return 0;
    const arrivals = this.#arrivals(last);
    if (arrivals === undefined) return 0;
    const { rate, atMs, rise } = arrivals;
    const gone = 1 - Math.exp(-aheadMs / lastsMs);
    const steady = (rate + rise * (last.atMs - atMs)) * lastsMs * gone;
    const rising = rise * lastsMs * (aheadMs - lastsMs * gone);
    return Math.max(0, steady + rising - last.sessions * gone);
  }

  /** How long sessions last: the time they have spent, by how many have ended. */
  #meanMs(): number | undefined {
    const [first] = this.#samples;
    const last = this.#samples.at(-1);
    if (first === undefined || last === undefined) return undefined;
    const ended = last.came - first.came - (last.sessions - first.sessions);
    const meanMs = (last.spentMs - first.spentMs) / ended;
    return ended >= MIN_ENDED && meanMs > 0 ? meanMs : undefined;
  }

  #arrivals(last: Sample): Arrivals | undefined {
    const found = this.#windowsMs.flatMap((windowMs) => this.#over(last, windowMs) ?? []);
    const rise = Math.max(0, ...found.map((window) => window.rise));
    // The longest that no shorter one contradicts.
    const level = found.findLast(({ rate }, index) =>
      found.slice(0, index).every((shorter) => Math.abs(shorter.rate - rate) <= shorter.chance),
    );
    return level && { rate: level.rate, atMs: level.atMs, rise };
  }

  #over(last: Sample, windowMs: number): (Arrivals & { readonly chance: number }) | undefined {
    const from = this.#at(last.atMs - windowMs);
    if (from === undefined || last.atMs - from.atMs < windowMs * COVERED) return undefined;
    const count = last.came - from.came;
    const spanMs = last.atMs - from.atMs;
    return {
      rate: count / spanMs,
      atMs: (last.atMs + from.atMs) / 2,
      // Of a number of arrivals that chance makes, the deviation is its root.
      chance: (2 * Math.sqrt(count + 1)) / spanMs,
      rise: this.#rise(from, count, spanMs),
    };
  }

  /** Compares `count`, those that came in `spanMs` since a sample, with those of as long a time before it. */
  #rise(from: Sample, count: number, spanMs: number): number {
    const before = this.#at(from.atMs - spanMs);
    if (before === undefined || from.atMs - before.atMs < spanMs * COVERED) return 0;
    const countBefore = ((from.came - before.came) * spanMs) / (from.atMs - before.atMs);
    const more = count - countBefore;
    const chance = this.#doubt * Math.sqrt(count + countBefore + 1);
    return more <= chance ? 0 : (more - (chance * chance) / more) / (spanMs * spanMs);
  }

  /** The last sample until then, or the first one. */
  #at(atMs: number): Sample | undefined {
    return this.#samples.findLast((sample) => sample.atMs <= atMs) ?? this.#samples[0];
  }
}
