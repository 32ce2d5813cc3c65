import { DEEPGRAM_LISTEN_PATH, type DeepgramRefusal } from '@voice-fleet/protocol/deepgram';
import type { ErrorCode } from '@voice-fleet/protocol/errors';
import { credentialOfUpgrade } from '../../auth/credentials.ts';
import type { Dialect } from '../dialect.ts';
import { DeepgramListenCodec } from './codec.ts';
import { parseListenQuery } from './query.ts';

/** Deepgram's names of what is refused; all that is not here is INTERNAL_SERVER_ERROR or Bad Request, by its status. */
const ERR_CODES: Partial<Record<ErrorCode, string>> = {
  authentication_failed: 'INVALID_AUTH',
  key_revoked: 'INVALID_AUTH',
  scope_missing: 'INSUFFICIENT_PERMISSIONS',
  too_many_sessions: 'TOO_MANY_REQUESTS',
  session_rate_limited: 'TOO_MANY_REQUESTS',
  audio_quota_exhausted: 'TOO_MANY_REQUESTS',
  at_capacity: 'SERVICE_UNAVAILABLE',
  fleet_unavailable: 'SERVICE_UNAVAILABLE',
};
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
    return {
      apiKey: credentialOfUpgrade(query, headers),
      resumable: false,
      acks: false,
      waitMs: 0,
      idleTimeoutMs: IDLE_MS,
      ...(model !== undefined && { model }),
    };
  },
  refusal: (error, request_id) => {
    const fallback = error.status < 500 ? 'Bad Request' : 'INTERNAL_SERVER_ERROR';
    const err_code = ERR_CODES[error.code] ?? fallback;
    const body: DeepgramRefusal = { err_code, err_msg: error.message, request_id };
    return { body, headers: { 'dg-request-id': request_id } };
  },
  codec: (query) => new DeepgramListenCodec(parseListenQuery(query)),
};
