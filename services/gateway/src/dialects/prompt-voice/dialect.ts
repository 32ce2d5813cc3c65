import { LEGACY_VOICE_PATH, VOICE_PATHS } from '@voice-fleet/protocol/prompt-voice';
import type { Dialect, Handshake } from '../dialect.ts';
import { PromptVoiceCodec } from './codec.ts';

const BEARER = /^Bearer +(\S+)$/i;

/** The voice pipeline on `/ws` and `/ws2`; see docs/protocols/voice.md. */
export function promptVoiceDialect({ enabled }: { readonly enabled: boolean }): Dialect {
  return {
    name: 'voice',
    paths: VOICE_PATHS,
    admission: 'socket',
    pipeline: 'voice',
    boundsFrames: true,
    ...(!enabled && { refuses: 'streaming_disabled' }),
    handshake,
    codec: () => new PromptVoiceCodec(),
  };
}

/** What became of the endpoint before it: it says where to go, and closes. */
export const legacyVoiceDialect: Dialect = {
  name: 'voice-legacy',
  paths: [LEGACY_VOICE_PATH],
  admission: 'socket',
  refuses: 'endpoint_deprecated',
  handshake,
  codec: () => new PromptVoiceCodec(),
};

function handshake(
  query: URLSearchParams,
  headers: Parameters<Dialect['handshake']>[1],
): Handshake {
  const header = headers['x-api-key'];
  const bearer = BEARER.exec(headers.authorization ?? '')?.[1];
  return {
    // A wrong query key is not mended by a right header: the first that is there counts.
    apiKey: query.get('api_key') || (typeof header === 'string' && header) || (bearer ?? ''),
    resumable: false,
    acks: false,
    waitMs: 0,
  };
}
