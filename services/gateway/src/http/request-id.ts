import { randomUUID } from 'node:crypto';
import type { IncomingMessage, ServerResponse } from 'node:http';

/** Header of every answer, by which a client can ask about it. */
export const REQUEST_ID = 'X-Request-Id';

/** A listener for `request`, before all others: names the request in its answer, whoever gives it. */
export function nameRequest(_request: IncomingMessage, response: ServerResponse): void {
  response.setHeader(REQUEST_ID, randomUUID());
}

/** The name of a request that `nameRequest` gave it. */
export function requestIdOf(response: Pick<ServerResponse, 'getHeader'>): string {
  return String(response.getHeader(REQUEST_ID) ?? '');
}
