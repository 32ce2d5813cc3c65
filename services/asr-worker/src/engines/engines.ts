import type { Clock } from '@voice-fleet/runtime/clock';
import type { AsrEngine } from './engine.ts';
import { PocketsphinxEngine } from './pocketsphinx/engine.ts';
import { type VllmDeps, VllmEngine, type VllmStats } from './vllm/engine.ts';
import { WATCH_DEFAULTS } from './vllm/stream-watch.ts';

/** Engines by the name that ASR_ENGINE takes. */
export const ENGINES = ['vllm', 'pocketsphinx'] as const;
export type EngineName = (typeof ENGINES)[number];

export interface EngineSettings {
  readonly engine: EngineName;
  readonly slots: number;
  readonly pocketsphinxRoot: string | undefined;
  readonly vllm: Pick<
    VllmDeps,
    'baseUrl' | 'apiKey' | 'model' | 'delayMs' | 'spares' | 'dialTimeoutMs' | 'canaryIntervalMs'
  > & { readonly stallMs: number; readonly doneMs: number };
}

export interface EngineDeps {
  readonly clock: Clock;
  readonly log: (event: string, fields: Record<string, unknown>) => void;
  readonly vllmStats: VllmStats;
}

export function createEngine(settings: EngineSettings, deps: EngineDeps): AsrEngine {
  const { clock, log } = deps;
  switch (settings.engine) {
    case 'vllm': {
      const { stallMs, doneMs, ...vllm } = settings.vllm;
      return new VllmEngine({
        ...vllm,
        clock,
        log,
        watch: { ...WATCH_DEFAULTS, firstDeltaMs: stallMs, cadenceMs: stallMs, doneMs },
        slots: () => 32,
        stats: deps.vllmStats,
      });
    }
    case 'pocketsphinx':
      return new PocketsphinxEngine({
        clock,
        log,
        ...(settings.slots > 0 ? { slots: settings.slots } : {}),
        ...(settings.pocketsphinxRoot ? { root: settings.pocketsphinxRoot } : {}),
      });
  }
}
