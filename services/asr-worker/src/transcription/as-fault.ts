import { StreamFault } from '../engines/engine.ts';

/** What an engine's stream failed of, where the engine does not say it in those words. */
export function asFault(error: unknown): StreamFault {
  if (error instanceof StreamFault) return error;
  const message = error instanceof Error ? error.message : String(error);
  return new StreamFault('other', message, { cause: error });
}
