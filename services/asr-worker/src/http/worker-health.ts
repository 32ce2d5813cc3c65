import type { EngineHealth } from '../engines/engine.ts';

/** A type, not an interface, so that it can be answered as plain JSON. */
export type WorkerReadiness = { ready: boolean; reason?: string; engine: string; slots: number };

/** What the worker says of itself: to Kubernetes over HTTP, to gateways through its registration. */
export class WorkerHealth {
  readonly #engine: { readonly name: string; health(): EngineHealth };
  readonly #slots: number;
  readonly #draining: () => boolean;

  constructor(
    engine: { readonly name: string; health(): EngineHealth },
    slots: number,
    draining: () => boolean,
  ) {
    this.#engine = engine;
    this.#slots = slots;
    this.#draining = draining;
  }

  readiness(): WorkerReadiness {
    const facts = { engine: this.#engine.name, slots: this.#slots };
    if (this.#draining()) return { ready: false, reason: 'draining', ...facts };
    const { ready, reason } = this.#engine.health();
    return ready ? { ready, ...facts } : { ready, reason: reason ?? 'loading', ...facts };
  }
}
