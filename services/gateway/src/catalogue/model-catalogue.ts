import { RedisUnavailable } from '@voice-fleet/fleet/redis';
import { VoiceError } from '@voice-fleet/protocol/errors';
import { isVendorTranscriptionModel } from '@voice-fleet/protocol/vendor-models';
import type { Clock } from '@voice-fleet/runtime/clock';
import type { ModelAliases } from '@voice-fleet/runtime/model-env';

/** Answers names of models that clients use. */
export interface ModelNames {
  /**
   * The model that a client means; `undefined`: whatever is served. Throws VoiceError `model_not_found` for a name that no live
   * worker serves, and that is neither an alias nor a vendor's.
   */
  resolve(requested: string | undefined): Promise<string | undefined>;
}

export interface CatalogueDeps {
  /** Models that live workers serve. */
  readonly served: () => Promise<readonly string[]>;
  readonly aliases: ModelAliases;
  readonly clock: Clock;
}

/** Workers come and go seldom, and are asked about at every upgrade. */
const FRESH_MS = 2_000;
const SHOWN_CHARS = 200;

/** What transcribes in this fleet, by all the names that it goes by. */
export class ModelCatalogue implements ModelNames {
  readonly #deps: CatalogueDeps;
  #known: readonly string[] = [];
  #askedMs = Number.NEGATIVE_INFINITY;
  #asking: Promise<readonly string[]> | undefined;

  constructor(deps: CatalogueDeps) {
    this.#deps = deps;
  }

  async resolve(requested: string | undefined): Promise<string | undefined> {
    if (requested === undefined) return undefined;
    const name = this.#deps.aliases.get(requested) ?? requested;
    const served = await this.served();
    if (served.includes(name)) return name;
    // Without a worker nothing is known of names, and a client is told of that instead.
    if (served.length === 0 || isVendorTranscriptionModel(name)) return undefined;
    throw new VoiceError('model_not_found', {
      details: { requested: requested.slice(0, SHOWN_CHARS), served: served.join(', ') },
    });
  }

  /** The models themselves, then the aliases that lead to one of them. */
  async names(): Promise<readonly string[]> {
    const served = await this.served();
    const aliases = [...this.#deps.aliases].filter(
      ([alias, name]) => served.includes(name) && !served.includes(alias),
    );
    return [...served, ...aliases.map(([alias]) => alias)];
  }

  /** As they were seen at most two seconds ago; while Redis is away, as they were seen last. */
  async served(): Promise<readonly string[]> {
    const { clock } = this.#deps;
    if (clock.now() - this.#askedMs < FRESH_MS) return this.#known;
    this.#asking ??= this.#ask().finally(() => {
      this.#asking = undefined;
    });
    return this.#asking;
  }

  async #ask(): Promise<readonly string[]> {
    const askedMs = this.#deps.clock.now();
    try {
      this.#known = [...(await this.#deps.served())].sort();
    } catch (error) {
      if (!(error instanceof RedisUnavailable)) throw error;
    }
    this.#askedMs = askedMs;
    return this.#known;
  }
}
