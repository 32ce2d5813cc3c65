import { MISTRAL_REALTIME_PATH } from '@voice-fleet/protocol/mistral-realtime';
import { openAiError, retryHeaders } from '@voice-fleet/protocol/openai-error';
import type { Dialect } from '../dialect.ts';
import { sdkHandshake } from '../sdk-handshake.ts';
import { MistralCodec } from './codec.ts';

const modelOf = (query: URLSearchParams): string | undefined => query.get('model') || undefined;

/** Mistral's realtime transcription; see docs/protocols/mistral.md. */
export const mistralRealtimeDialect: Dialect = {
  name: 'mistral',
  paths: [MISTRAL_REALTIME_PATH],
  admission: 'upgrade',
  pipeline: 'listen',
  handshake: (query, headers) => sdkHandshake(query, headers, modelOf(query)),
  refusal: (error) => ({ body: { error: openAiError(error) }, headers: retryHeaders(error) }),
  codec: (query) => new MistralCodec(modelOf(query)),
};
