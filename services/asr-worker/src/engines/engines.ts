import type { Clock } from '@voice-fleet/runtime/clock';
import type { AsrEngine } from './engine.ts';
import { PocketsphinxEngine } from './pocketsphinx/engine.ts';

/** Engines by the name that ASR_ENGINE takes. */
export const ENGINES = ['pocketsphinx'] as const;
export type EngineName = (typeof ENGINES)[number];

export interface EngineSettings {
  readonly engine: EngineName;
  readonly slots: number;
  readonly pocketsphinxRoot: string | undefined;
}

export function createEngine(
  settings: EngineSettings,
  deps: { clock: Clock; log: (event: string, fields: Record<string, unknown>) => void },
): AsrEngine {
  switch (settings.engine) {
    case 'pocketsphinx':
      return new PocketsphinxEngine({
        ...deps,
        ...(settings.slots > 0 ? { slots: settings.slots } : {}),
        ...(settings.pocketsphinxRoot ? { root: settings.pocketsphinxRoot } : {}),
      });
  }
}
