import type { AsrEngine, EngineCapabilities } from './engine.ts';

/** Seen from files and settings alone, without starting anything. */
export interface Availability {
  readonly available: boolean;
  /** What is missing, in words for operators. */
  readonly reason?: string;
}

/** One kind of engine, as this worker is configured to run it. */
export interface Provider {
  readonly name: string;
  readonly capabilities: EngineCapabilities;
  availability(): Availability;
  create(): AsrEngine;
}

export type ProviderInfo = { name: string; loaded: boolean } & Availability & EngineCapabilities;

/** The engines a worker could run. One instance of each at the most: a model is too large for two. */
export class EngineRegistry {
  readonly #providers: ReadonlyMap<string, Provider>;
  readonly #engines = new Map<string, AsrEngine>();

  constructor(providers: readonly Provider[]) {
    this.#providers = new Map(providers.map((provider) => [provider.name, provider]));
  }

  list(): ProviderInfo[] {
    return Array.from(this.#providers.values(), (provider) => ({
      name: provider.name,
      loaded: this.#engines.has(provider.name),
      ...provider.availability(),
      ...provider.capabilities,
    }));
  }

  /** The same instance each time, until it is evicted. */
  get(name: string): AsrEngine {
    const known = this.#engines.get(name);
    if (known) return known;
    const provider = this.#providers.get(name);
    if (!provider) throw new Error(`no engine "${name}": there are ${[...this.#providers.keys()]}`);
    const engine = provider.create();
    this.#engines.set(name, engine);
    return engine;
  }

  /** Stops an engine and forgets it; the next `get` makes a new one. */
  async evict(name: string): Promise<void> {
    const engine = this.#engines.get(name);
    this.#engines.delete(name);
    await engine?.stop();
  }
}
