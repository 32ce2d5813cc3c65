import type { YapUtteranceHandlers } from '../yap-utterance.ts';
import type { CliIo } from './flags.ts';

/** Shows tokens as they come: one growing line on a terminal, else a line each with its time. */
export function livePartials(io: CliIo): YapUtteranceHandlers {
  const startMs = io.clock.now();
  if (io.isTty) {
    return { onToken: (text) => io.stderr(text), onFinal: () => io.stderr('\n') };
  }
  const at = (): string => `+${((io.clock.now() - startMs) / 1000).toFixed(2)} s`.padStart(10);
  return {
    onToken: (text) => io.stderr(`${at()}  token  ${JSON.stringify(text)}\n`),
    onFinal: () => io.stderr(`${at()}  final\n`),
  };
}
