import type { Chance } from './random.ts';

export interface FleetSettings {
  readonly slotsPerPod: number;
  /** From the creation of a pod until it takes sessions, on the average: scheduling, image, model. */
  readonly podReadyS: number;
  readonly drainS: number;
  /** ADMISSION_HOLD_S of the gateway. */
  readonly holdS: number;
}

export interface Pod {
  readonly ordinal: number;
  readonly createdS: number;
  readonly readyS: number;
  /** Since when it is to end. */
  drainingS: number | undefined;
  /** When each of its sessions ends. */
  sessions: number[];
}

interface Waiter {
  readonly sinceS: number;
  readonly lastsS: number;
}

/** What has happened to clients. */
export interface Tally {
  arrived: number;
  refused: number;
  moved: number;
  lost: number;
  /** Seconds, of all that arrived; who was refused has waited for all of its hold. */
  readonly waits: number[];
}

/**
 * A StatefulSet of workers and the line before them, in steps of one second: sessions take the lowest ordinal that has a free slot
 * (FLEET_PLACEMENT=ordinal), wait for so long as gateways hold them, and move when their worker drains.
 */
export class Fleet {
  readonly settings: FleetSettings;
  readonly #chance: Chance;
  readonly pods: Pod[] = [];
  replicas: number;
  line: Waiter[] = [];
  /** When clients were refused, within the last minute. */
  refusals: number[] = [];
  tally: Tally = newTally();
  /** Since ever, also of those that were refused. */
  came = 0;

  constructor(settings: FleetSettings, chance: Chance, replicas: number) {
    this.settings = settings;
    this.#chance = chance;
    this.replicas = replicas;
    for (let ordinal = 0; ordinal < replicas; ordinal += 1)
      this.pods.push({ ordinal, createdS: -1e6, readyS: -1e6, drainingS: undefined, sessions: [] });
  }

  scale(replicas: number): void {
    this.replicas = replicas;
  }

  ready(nowS: number): Pod[] {
    return this.pods.filter((pod) => pod.drainingS === undefined && pod.readyS <= nowS);
  }

  get slots(): number {
    return this.settings.slotsPerPod;
  }

  step(nowS: number, arrivals: readonly number[]): void {
    this.#followReplicas(nowS);
    for (const pod of this.pods) pod.sessions = pod.sessions.filter((endS) => endS > nowS);
    const free = this.ready(nowS).filter(({ sessions }) => sessions.length < this.slots);
    this.#moveFrom(
      this.pods.filter((pod) => pod.drainingS !== undefined),
      free,
    );
    for (const lastsS of arrivals) this.line.push({ sinceS: nowS, lastsS });
    this.tally.arrived += arrivals.length;
    this.came += arrivals.length;
    while (this.line.length > 0 && free[0] !== undefined) {
      const { sinceS, lastsS } = this.line.shift() as Waiter;
      this.tally.waits.push(nowS - sinceS);
      this.#take(free, nowS + lastsS);
    }
    this.#refuse(nowS);
    this.#endDrained(nowS);
  }

  #take(free: Pod[], endS: number): void {
    const [pod] = free;
    pod?.sessions.push(endS);
    if (pod !== undefined && pod.sessions.length >= this.slots) free.shift();
  }

  /** Those that move go before newcomers. */
  #moveFrom(draining: readonly Pod[], free: Pod[]): void {
    for (const pod of draining) {
      while (pod.sessions.length > 0 && free.length > 0) {
        this.#take(free, pod.sessions.pop() as number);
        this.tally.moved += 1;
      }
    }
  }

  #refuse(nowS: number): void {
    const { holdS } = this.settings;
    this.line = this.line.filter(({ sinceS }) => {
      if (nowS - sinceS < holdS) return true;
      this.tally.refused += 1;
      this.tally.waits.push(holdS);
      this.refusals.push(nowS);
      return false;
    });
    this.refusals = this.refusals.filter((atS) => atS > nowS - 60);
  }

  #endDrained(nowS: number): void {
    for (const pod of [...this.pods]) {
      if (pod.drainingS === undefined) continue;
      const over = nowS - pod.drainingS >= this.settings.drainS;
      if (over) this.tally.lost += pod.sessions.length;
      if (over || pod.sessions.length === 0) this.pods.splice(this.pods.indexOf(pod), 1);
    }
  }

  /** The highest ordinals go; one that still ends is made anew only when it is gone. */
  #followReplicas(nowS: number): void {
    for (const pod of this.pods)
      if (pod.ordinal >= this.replicas && pod.drainingS === undefined) pod.drainingS = nowS;
    const there = new Set(this.pods.map(({ ordinal }) => ordinal));
    for (let ordinal = 0; ordinal < this.replicas; ordinal += 1) {
      if (there.has(ordinal)) continue;
      const readyS = nowS + this.#chance.lognormal(this.settings.podReadyS, 0.15);
      this.pods.push({ ordinal, createdS: nowS, readyS, drainingS: undefined, sessions: [] });
    }
    this.pods.sort((one, other) => one.ordinal - other.ordinal);
  }
}

export function newTally(): Tally {
  return { arrived: 0, refused: 0, moved: 0, lost: 0, waits: [] };
}
