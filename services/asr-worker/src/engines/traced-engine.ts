import type { AsrEngine } from './engine.ts';

/** The part of an engine that an utterance uses. */
export type UtteranceEngine = Pick<AsrEngine, 'open' | 'capabilities'>;

/** The engine for work that belongs to a trace: what it asks of others can be found there. */
export function tracedEngine(
  engine: UtteranceEngine,
  traceparent: string | undefined,
): UtteranceEngine {
  if (traceparent === undefined) return engine;
  return {
    get capabilities() {
      return engine.capabilities;
    },
    open: (voice, origin) => engine.open(voice, { ...origin, traceparent }),
  };
}
