import { RedisUnavailable } from '@voice-fleet/fleet/redis';
import type { Principal } from '@voice-fleet/fleet/tenant';
import { VoiceError } from '@voice-fleet/protocol/errors';
import { isVendorTranscriptionModel } from '@voice-fleet/protocol/vendor-models';
import type { Clock } from '@voice-fleet/runtime/clock';
import type { ModelAliases } from '@voice-fleet/runtime/model-env';

/** Answers names of models that clients use. */
export interface ModelNames {
  /**
   * The model that a client of a tenant means; `undefined`: whatever is served. Throws VoiceError `model_not_found` for a name
   * that no live worker serves, and that is neither an alias nor a vendor's; and for models that the tenant may not use.
   */
  resolve(requested: string | undefined, tenant?: TenantModels): Promise<string | undefined>;
  /** The same at once, by what was seen last: for clients that have a session already. */
  meant(requested: string | undefined, tenant?: TenantModels): string | undefined;
}

/** What of a tenant decides what names mean. */
export type TenantModels = Principal['models'];

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

  async resolve(requested: string | undefined, tenant?: TenantModels): Promise<string | undefined> {
    await this.served();
    return this.meant(requested, tenant);
  }

  meant(requested: string | undefined, tenant?: TenantModels): string | undefined {
    const usable = this.#usable(tenant);
    const name = requested && (this.#aliases(tenant).get(requested) ?? requested);
    if (name !== undefined && usable.includes(name)) return name;
    // Without a worker nothing is known of names, and a client is told of that instead.
    if (this.#known.length === 0) return undefined;
    if (name === undefined || isVendorTranscriptionModel(name)) {
      if (!tenant?.models.length) return undefined;
      if (usable[0] !== undefined) return usable[0];
    }
    throw new VoiceError('model_not_found', {
      details: { requested: (requested ?? '').slice(0, SHOWN_CHARS), served: usable.join(', ') },
    });
  }

  /** The models themselves, then the aliases that lead to one of them; those that a tenant may use, by its names. */
  async names(tenant?: TenantModels): Promise<readonly string[]> {
    await this.served();
    const usable = this.#usable(tenant);
    const aliases = [...this.#aliases(tenant)].filter(([, name]) => usable.includes(name));
    return [...new Set([...[...usable].sort(), ...aliases.map(([alias]) => alias)])];
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

  /** Served models, in the order in which a tenant prefers them. */
  #usable(tenant: TenantModels): readonly string[] {
    if (!tenant?.models.length) return this.#known;
    return tenant.models.filter((model) => this.#known.includes(model));
  }

  #aliases(tenant: TenantModels): ModelAliases {
    const own = Object.entries(tenant?.aliases ?? {});
    return own.length === 0 ? this.#deps.aliases : new Map([...this.#deps.aliases, ...own]);
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
