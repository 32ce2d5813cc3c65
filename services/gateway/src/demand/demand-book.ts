import type { Asked } from '@voice-fleet/fleet/demand-ledger';
import type { LeaseRequest, Placement } from '@voice-fleet/fleet/lease';
import type { WaitingLine } from '@voice-fleet/fleet/waiting-line';
import type { Clock } from '@voice-fleet/runtime/clock';
import { ANY_MODEL } from './fleet-demand.ts';

/** A client that was refused is expected to come back for so long. */
export const REFUSED_MS = 60_000;
/** Refusals are counted by so many ms, so that any number takes little room. */
const BUCKET_MS = 5_000;
/** Names of models that are told apart; clients who name further ones count as if they had named none. */
const MAX_MODELS = 64;

interface Bucket {
  readonly fromMs: number;
  readonly byModel: Map<string, number>;
}

/** What clients ask of this gateway, beside what is seen of them in Redis. */
export class DemandBook {
  readonly #clock: Pick<Clock, 'now'>;
  readonly #came = new Map<string, number>();
  #refused: Bucket[] = [];

  constructor(clock: Pick<Clock, 'now'>) {
    this.#clock = clock;
  }

  /** A new session has a slot, of a worker that serves this model. */
  admitted(model: string): void {
    this.#add(this.#came, model);
  }

  /** A new session was refused, for there was no slot for it. */
  refused(model: string | undefined): void {
    const nowMs = this.#clock.now();
    this.#add(this.#came, model ?? ANY_MODEL);
    let bucket = this.#refused.at(-1);
    if (bucket === undefined || nowMs - bucket.fromMs >= BUCKET_MS) {
      this.#forget(nowMs);
      bucket = { fromMs: nowMs, byModel: new Map() };
      this.#refused.push(bucket);
    }
    this.#add(bucket.byModel, model ?? ANY_MODEL);
  }

  /** `waiting`: clients that are held before the line, by the model they name. */
  asked(waiting: ReadonlyMap<string, number>): Asked {
    this.#forget(this.#clock.now());
    const refused = new Map<string, number>();
    for (const { byModel } of this.#refused)
      for (const [model, count] of byModel) this.#add(refused, model, count);
    return {
      waiting: Object.fromEntries(waiting),
      refused: Object.fromEntries(refused),
      came: Object.fromEntries(this.#came),
    };
  }

  /** A line whose new sessions are counted here. Those that move, or come back, are in Redis already. */
  watch(line: Pick<WaitingLine, 'acquire'>): Pick<WaitingLine, 'acquire'> {
    return {
      acquire: async (request, options) => {
        const placement = await line.acquire(request, options);
        if (request.replaces === undefined && request.resumes !== true)
          this.#count(request, placement);
        return placement;
      },
    };
  }

  #count({ exclude = [], model }: LeaseRequest, placement: Placement): void {
    if (placement.kind === 'granted') return this.admitted(placement.lease.model);
    const { reason } = placement;
    const forWant = reason === 'full' || reason === 'line_full' || reason === 'no_workers';
    // Who passes some workers over asks again without.
    if (forWant && exclude.length === 0) this.refused(model);
  }

  #forget(nowMs: number): void {
    this.#refused = this.#refused.filter(({ fromMs }) => nowMs - fromMs < REFUSED_MS);
  }

  #add(counts: Map<string, number>, model: string, by = 1): void {
    const name = counts.has(model) || counts.size < MAX_MODELS ? model : ANY_MODEL;
    counts.set(name, (counts.get(name) ?? 0) + by);
  }
}
