import { openAiError, retryHeaders } from '@voice-fleet/protocol/openai-error';
import { OPENAI_REALTIME_PATH } from '@voice-fleet/protocol/openai-realtime';
import type { Dialect } from '../dialect.ts';
import { OpenAiCodec } from '../openai-realtime/codec.ts';
import { sdkHandshake } from '../sdk-handshake.ts';
import { RealtimeCodec } from './codec.ts';
import { dialectOfRequest } from './hints.ts';

/** OpenAI's and vLLM's realtime protocols, told apart; see docs/protocols/openai-realtime.md and vllm-realtime.md. */
export const realtimeDialect: Dialect = {
  name: 'realtime',
  paths: [OPENAI_REALTIME_PATH],
  admission: 'upgrade',
  pipeline: 'listen',
  subprotocols: ['realtime'],
  handshake: (query, headers) => sdkHandshake(query, headers, query.get('model')),
  refusal: (error) => ({ body: { error: openAiError(error) }, headers: retryHeaders(error) }),
  codec: (query, headers) => {
    const hints = {
      model: query.get('model') ?? undefined,
      transcribes: query.get('intent') === 'transcription',
    };
    return new RealtimeCodec(new OpenAiCodec(hints), dialectOfRequest(query, headers));
  },
};
