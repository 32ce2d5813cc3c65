import { DEEPGRAM_FLUX_PATH } from '@voice-fleet/protocol/deepgram-flux';
import { deepgramRefusal } from '../deepgram-listen/refusal.ts';
import type { Dialect } from '../dialect.ts';
import { sdkHandshake } from '../sdk-handshake.ts';
import { DeepgramFluxCodec } from './codec.ts';
import { parseFluxQuery } from './query.ts';

/** Deepgram's Flux on `/v2/listen`; see docs/protocols/deepgram.md. */
export const deepgramFluxDialect: Dialect = {
  name: 'flux',
  paths: [DEEPGRAM_FLUX_PATH],
  admission: 'upgrade',
  pipeline: 'listen',
  subprotocols: ['token', 'bearer'],
  handshake: (query, headers) => sdkHandshake(query, headers, parseFluxQuery(query).model),
  refusal: deepgramRefusal,
  codec: (query) => new DeepgramFluxCodec(parseFluxQuery(query)),
};
