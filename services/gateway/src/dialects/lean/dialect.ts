import { LEAN_PATH } from '@voice-fleet/protocol/lean';
import type { Dialect } from '../dialect.ts';
import { LeanCodec } from './codec.ts';

export interface LeanDialectSettings {
  /** Used for clients that bring no key; empty: they are refused. */
  readonly guestKey: string;
}

/** One utterance a connection, transcript alone; see docs/protocols/lean.md. */
export function leanDialect({ guestKey }: LeanDialectSettings): Dialect {
  return {
    name: 'lean',
    paths: [LEAN_PATH],
    admission: 'socket',
    pipeline: 'lean',
    boundsFrames: true,
    handshake: (query, headers) => {
      const apiKey = headers['x-api-key'];
      const bearer = /^Bearer +(\S+) *$/i.exec(headers.authorization ?? '')?.[1];
      const header = typeof apiKey === 'string' && apiKey !== '' ? apiKey : bearer;
      return {
        apiKey: query.get('api_key') || header || guestKey,
        resumable: false,
        acks: false,
        waitMs: 0,
      };
    },
    codec: () => new LeanCodec(),
  };
}
