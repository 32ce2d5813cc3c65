import { DEEPGRAM_LISTEN_PATH } from '@voice-fleet/protocol/deepgram';
import type { Dialect } from '../dialect.ts';
import { sdkHandshake } from '../sdk-handshake.ts';
import { DeepgramListenCodec } from './codec.ts';
import { parseListenQuery } from './query.ts';
import { deepgramRefusal } from './refusal.ts';

/** After so long without a frame Deepgram closes; its SDKs send KeepAlive every few seconds. */
const IDLE_MS = 10_000;

/** Deepgram's live transcription on `/v1/listen`; see docs/protocols/deepgram.md. */
export const deepgramListenDialect: Dialect = {
  name: 'deepgram',
  paths: [DEEPGRAM_LISTEN_PATH],
  admission: 'upgrade',
  pipeline: 'listen',
  subprotocols: ['token', 'bearer'],
  handshake: (query, headers) => {
    const { model } = parseListenQuery(query);
    return { ...sdkHandshake(query, headers, model), idleTimeoutMs: IDLE_MS };
  },
  refusal: deepgramRefusal,
  codec: (query) => new DeepgramListenCodec(parseListenQuery(query)),
};
