import type { Clock } from '@voice-fleet/runtime/clock';
import type { AsrEngine } from './engine.ts';
import { FallbackEngine } from './fallback-engine.ts';
import { POCKETSPHINX_CAPABILITIES, PocketsphinxEngine } from './pocketsphinx/engine.ts';
import { locateSphinx } from './pocketsphinx/locate.ts';
import { PROCESS_CAPABILITIES, ProcessEngine, type ProcessSettings } from './process/engine.ts';
import { type Availability, EngineRegistry, type Provider } from './registry.ts';
import { VLLM_CAPABILITIES, type VllmDeps, VllmEngine, type VllmStats } from './vllm/engine.ts';
import { WATCH_DEFAULTS } from './vllm/stream-watch.ts';

/** Engines by the name that ASR_ENGINE takes, the better ones first. */
export const ENGINES = ['vllm', 'process', 'pocketsphinx'] as const;
export type EngineName = (typeof ENGINES)[number];

type VllmSettings = Pick<
  VllmDeps,
  'baseUrl' | 'apiKey' | 'model' | 'delayMs' | 'spares' | 'dialTimeoutMs' | 'canaryIntervalMs'
> & { readonly stallMs: number; readonly doneMs: number };

export interface EngineSettings {
  /** In order of preference. */
  readonly engines: readonly EngineName[];
  /** For engines on a CPU; 0: as many as they can serve. */
  readonly slots: number;
  readonly pocketsphinxRoot: string | undefined;
  readonly vllm: VllmSettings;
  readonly process: Omit<ProcessSettings, 'args'>;
}

export interface EngineDeps {
  readonly clock: Clock;
  readonly log: (event: string, fields: Record<string, unknown>) => void;
  readonly vllmStats: VllmStats;
  /** Sessions that vLLM is offered for until it was measured. */
  readonly startSlots: number;
}

/** All engines, as this worker is configured for them. */
export function engineRegistry(settings: EngineSettings, deps: EngineDeps): EngineRegistry {
  const { clock, log } = deps;
  const providers: Record<EngineName, Omit<Provider, 'name'>> = {
    vllm: {
      capabilities: VLLM_CAPABILITIES,
      // Whether it is there shows when it is dialed.
      availability: () => ({ available: true }),
      create: () => {
        const { stallMs, doneMs, ...vllm } = settings.vllm;
        const watch = { ...WATCH_DEFAULTS, firstDeltaMs: stallMs, cadenceMs: stallMs, doneMs };
        const { startSlots: slots, vllmStats: stats } = deps;
        return new VllmEngine({ ...vllm, clock, log, watch, slots, stats });
      },
    },
    process: {
      capabilities: PROCESS_CAPABILITIES,
      availability: () => {
        const { available, reason } = ProcessEngine.availability(settings.process);
        return reason === undefined ? { available } : { available, reason };
      },
      create: () => new ProcessEngine(settings.process, { clock, log }),
    },
    pocketsphinx: {
      capabilities: POCKETSPHINX_CAPABILITIES,
      availability: () => sphinxAvailability(settings.pocketsphinxRoot),
      create: () =>
        new PocketsphinxEngine({
          clock,
          log,
          ...(settings.slots > 0 ? { slots: settings.slots } : {}),
          ...(settings.pocketsphinxRoot ? { root: settings.pocketsphinxRoot } : {}),
        }),
    },
  };
  return new EngineRegistry(ENGINES.map((name) => ({ name, ...providers[name] })));
}

/** The engine that ASR_ENGINE asks for; several of them as one. */
export function engineFrom(
  registry: EngineRegistry,
  names: readonly EngineName[],
  deps: Pick<EngineDeps, 'clock' | 'log'>,
): AsrEngine {
  const [first, ...others] = names.map((name) => registry.get(name));
  if (first === undefined) throw new Error('ASR_ENGINE names no engine');
  return others.length === 0 ? first : new FallbackEngine([first, ...others], deps);
}

function sphinxAvailability(root: string | undefined): Availability {
  try {
    locateSphinx(root === undefined ? undefined : [root]);
    return { available: true };
  } catch (error) {
    return { available: false, reason: error instanceof Error ? error.message : String(error) };
  }
}
