import type { Clock, Timer } from '@voice-fleet/runtime/clock';

/** Of the slots of a worker, so many may catch up at once: what they take is what the other sessions can spare. */
const SHARE = 1 / 4;
const FEWEST = 2;
/** While others wait, a turn lasts no longer, caught up or not: an engine that takes nothing must not keep them all. */
export const TURN_MS = 5_000;

export interface CatchUpStats {
  onChange(active: number, waiting: number): void;
  /** Somebody has caught up, `durationMs` after falling behind. */
  onCaughtUp(durationMs: number): void;
}

export interface CatchUpDeps {
  readonly clock: Clock;
  /** How many may catch up at once; asked anew each time. At least one may. */
  readonly permits: () => number;
  readonly stats: CatchUpStats;
}

/** How many utterances may catch up at once on a worker of so many slots; `configured` 0: as many as is usual. */
export function catchUpPermits(configured: number, slots: number): number {
  return configured > 0 ? configured : Math.max(FEWEST, Math.floor(slots * SHARE));
}

/** The place of one utterance among those that catch up, from when it falls behind until it has caught up. */
export interface CatchUpTurn {
  /** It may give its engine audio now. May be taken back; `onGranted` is called whenever it is given. */
  readonly granted: boolean;
  /** It had its time, in one turn or several, and is still not there. */
  readonly spent: boolean;
  /** Gives the place up. Safe twice. */
  leave(caughtUp: boolean): void;
}

interface Entry {
  readonly sinceMs: number;
  readonly onGranted: () => void;
  grantedMs: number | undefined;
  firstGrantedMs: number | undefined;
}

/**
 * Lets few utterances of a worker catch up at a time, in the order in which they fell behind. Audio that waits is taken as
 * fast as the engine can; if all did that at once, as after the loss of another worker, the sessions that are in time would
 * fall behind as well. Those never wait here.
 */
export class CatchUp {
  readonly #deps: CatchUpDeps;
  readonly #active = new Set<Entry>();
  readonly #waiting = new Set<Entry>();
  #timer: Timer | undefined;

  constructor(deps: CatchUpDeps) {
    this.#deps = deps;
  }

  /** An utterance has fallen behind. `onGranted` may be called before this returns. */
  enter(onGranted: () => void): CatchUpTurn {
    const { clock, stats } = this.#deps;
    const entry: Entry = {
      sinceMs: clock.now(),
      onGranted,
      grantedMs: undefined,
      firstGrantedMs: undefined,
    };
    this.#waiting.add(entry);
    this.#grant();
    const { sinceMs } = entry;
    return {
      get granted() {
        return entry.grantedMs !== undefined;
      },
      get spent() {
        return clock.now() - (entry.firstGrantedMs ?? Number.POSITIVE_INFINITY) >= TURN_MS;
      },
      leave: (caughtUp) => {
        if (!this.#active.delete(entry) && !this.#waiting.delete(entry)) return;
        if (caughtUp) stats.onCaughtUp(clock.now() - sinceMs);
        this.#grant();
      },
    };
  }

  #grant(): void {
    const { clock, permits, stats } = this.#deps;
    const granted: Entry[] = [];
    for (const entry of this.#waiting) {
      if (this.#active.size >= Math.max(1, permits())) break;
      this.#waiting.delete(entry);
      this.#active.add(entry);
      entry.grantedMs = clock.now();
      entry.firstGrantedMs ??= entry.grantedMs;
      granted.push(entry);
    }
    stats.onChange(this.#active.size, this.#waiting.size);
    this.#watch();
    for (const { onGranted } of granted) onGranted();
  }

  /** One timer for all turns, only while somebody waits for one to end. */
  #watch(): void {
    if (this.#waiting.size === 0) {
      this.#timer?.cancel();
      this.#timer = undefined;
      return;
    }
    if (this.#timer !== undefined) return;
    const { clock } = this.#deps;
    // In the order of their grants, so the first one is over first.
    const [oldest] = this.#active;
    const sinceMs = oldest?.grantedMs ?? clock.now();
    this.#timer = clock.after(Math.max(0, sinceMs + TURN_MS - clock.now()), () => {
      this.#timer = undefined;
      this.#rotate();
    });
  }

  #rotate(): void {
    const { clock } = this.#deps;
    let waiting = this.#waiting.size;
    for (const entry of this.#active) {
      if (waiting === 0 || clock.now() - (entry.grantedMs ?? 0) < TURN_MS) break;
      this.#active.delete(entry);
      this.#waiting.add(entry);
      entry.grantedMs = undefined;
      waiting -= 1;
    }
    this.#grant();
  }
}
