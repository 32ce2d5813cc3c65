import type { IncomingMessage, ServerResponse } from 'node:http';
import { requestPath } from '@voice-fleet/runtime/upgrade';

/** Prefixes that vLLM asks a key for; all else stays open. */
const GUARDED = ['/v1', '/v2', '/inference'];

/** `Authorization: Bearer <key>`, the scheme in any case, is the only way. */
export function isAuthorized(request: IncomingMessage, keys: readonly string[]): boolean {
  if (keys.length === 0) return true;
  if (!GUARDED.some((prefix) => requestPath(request).startsWith(prefix))) return true;
  const [scheme = '', ...rest] = (request.headers.authorization ?? '').split(' ');
  return scheme.toLowerCase() === 'bearer' && keys.includes(rest.join(' '));
}

/** What the routes tell. */
export interface HttpFacts {
  readonly apiKeys: readonly string[];
  readonly models: readonly string[];
  readonly version: string;
  readonly maxModelLen: number;
  isEngineAlive(): boolean;
  metricsText(): string;
}

/** vLLM's routes beside the realtime one, as far as a fleet asks them. */
export function answer(request: IncomingMessage, response: ServerResponse, facts: HttpFacts): void {
  if (!isAuthorized(request, facts.apiKeys)) return reply(response, 401, { error: 'Unauthorized' });
  if (request.method !== 'GET') return reply(response, 405, { detail: 'Method Not Allowed' });
  switch (requestPath(request)) {
    case '/health':
      // A flag only: a hung engine is well.
      return void response.writeHead(facts.isEngineAlive() ? 200 : 503).end();
    case '/version':
      return reply(response, 200, { version: facts.version });
    case '/load':
      // Realtime is not counted there.
      return reply(response, 200, { server_load: 0 });
    case '/v1/models':
      return reply(response, 200, {
        object: 'list',
        data: facts.models.map((id) => ({
          id,
          object: 'model',
          owned_by: 'vllm',
          max_model_len: facts.maxModelLen,
        })),
      });
    case '/metrics':
      return void response
        .writeHead(200, { 'content-type': 'text/plain; version=0.0.4; charset=utf-8' })
        .end(facts.metricsText());
    default:
      return reply(response, 404, { detail: 'Not Found' });
  }
}

function reply(response: ServerResponse, status: number, body: unknown): void {
  response.writeHead(status, { 'content-type': 'application/json' }).end(JSON.stringify(body));
}
