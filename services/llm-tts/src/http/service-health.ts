/** A type, not an interface, so that it can be answered as plain JSON. */
export type ServiceReadiness = {
  ready: boolean;
  reason?: string;
  /** Names the model that answers turns; `builtin-rules` is none. */
  model: string;
  /** Names the engine that speaks; absent when there is none. */
  tts?: string;
  turns: number;
};

/** What the service says of itself. */
export class ServiceHealth {
  readonly #facts: () => Omit<ServiceReadiness, 'ready' | 'reason'>;
  #draining = false;

  constructor(facts: () => Omit<ServiceReadiness, 'ready' | 'reason'>) {
    this.#facts = facts;
  }

  /** From now on it is not ready. */
  drain(): void {
    this.#draining = true;
  }

  readiness(): ServiceReadiness {
    if (this.#draining) return { ready: false, reason: 'draining', ...this.#facts() };
    return { ready: true, ...this.#facts() };
  }
}
