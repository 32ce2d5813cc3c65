import type { IncomingHttpHeaders } from 'node:http';
import { credentialOfUpgrade } from '../auth/credentials.ts';
import type { Handshake } from './dialect.ts';

/** Of clients of other services: a key wherever they put it, maybe a model, and nothing of resuming or waiting in line. */
export function sdkHandshake(
  query: URLSearchParams,
  headers: IncomingHttpHeaders,
  model: string | null | undefined,
): Handshake {
  return {
    apiKey: credentialOfUpgrade(query, headers),
    resumable: false,
    acks: false,
    waitMs: 0,
    ...(model && { model }),
  };
}
