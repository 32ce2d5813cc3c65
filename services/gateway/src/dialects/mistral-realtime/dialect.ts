import { MISTRAL_REALTIME_PATH } from '@voice-fleet/protocol/mistral-realtime';
import { openAiError, retryHeaders } from '@voice-fleet/protocol/openai-error';
import { credentialOfUpgrade } from '../../auth/credentials.ts';
import type { Dialect } from '../dialect.ts';
import { MistralCodec } from './codec.ts';

const modelOf = (query: URLSearchParams): string | undefined => query.get('model') || undefined;

/** Mistral's realtime transcription; see docs/protocols/mistral.md. */
export const mistralRealtimeDialect: Dialect = {
  name: 'mistral',
  paths: [MISTRAL_REALTIME_PATH],
  admission: 'upgrade',
  pipeline: 'listen',
  handshake: (query, headers) => {
    const model = modelOf(query);
    return {
      apiKey: credentialOfUpgrade(query, headers),
      resumable: false,
      acks: false,
      waitMs: 0,
      ...(model !== undefined && { model }),
    };
  },
  refusal: (error) => ({ body: { error: openAiError(error) }, headers: retryHeaders(error) }),
  codec: (query) => new MistralCodec(modelOf(query)),
};
