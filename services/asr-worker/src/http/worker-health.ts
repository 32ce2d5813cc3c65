import type { AsrEngine, EngineState } from '../engines/engine.ts';

/** A type, not an interface, so that it can be answered as plain JSON. */
export type WorkerReadiness = {
  ready: boolean;
  reason?: string;
  state: EngineState;
  engine: string;
  slots: number;
};

/** What the worker says of itself: to Kubernetes over HTTP, to gateways through its registration. */
export class WorkerHealth {
  readonly #engine: Pick<AsrEngine, 'name' | 'health'>;
  readonly #slots: () => number;
  readonly #draining: () => boolean;

  constructor(
    engine: Pick<AsrEngine, 'name' | 'health'>,
    slots: () => number,
    draining: () => boolean,
  ) {
    this.#engine = engine;
    this.#slots = slots;
    this.#draining = draining;
  }

  readiness(): WorkerReadiness {
    const { state, reason } = this.#engine.health();
    const facts = { state, engine: this.#engine.name, slots: this.#slots() };
    if (this.#draining()) return { ready: false, reason: 'draining', ...facts };
    return state === 'ready'
      ? { ready: true, ...facts }
      : { ready: false, reason: reason ?? state, ...facts };
  }
}
