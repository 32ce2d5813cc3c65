import { type ListedModel, MODELS_PATH, ModelList } from '@voice-fleet/protocol/openai-rest';
import type { Logger } from '@voice-fleet/telemetry/logger';

/** A list is short, and its reader waits for it. */
const TIMEOUT_MS = 2_000;

/** The models of the llm-tts at `baseUrl`; none while it cannot be asked, which is logged. */
export function llmModels(
  baseUrl: string,
  log: Pick<Logger, 'warn'>,
): () => Promise<readonly ListedModel[]> {
  const url = new URL(MODELS_PATH, baseUrl);
  return async () => {
    try {
      const signal = AbortSignal.timeout(TIMEOUT_MS);
      const response = await fetch(url, { redirect: 'error', signal });
      return ModelList.parse(await response.json()).data;
    } catch (error) {
      log.warn({ event: 'llm_tts_away', err: error });
      return [];
    }
  };
}
