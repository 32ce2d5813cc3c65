import type { IncomingMessage } from 'node:http';
import type {
  CorsOptions,
  CorsOptionsDelegate,
} from '@nestjs/common/interfaces/external/cors-options.interface';

const ADMIN = /^\/admin(?:[/?]|$)/;
/** Beside those that every page may read. */
const READABLE = [
  'X-Request-Id',
  'Retry-After',
  'X-Should-Retry',
  'X-RateLimit-Limit-Requests',
  'X-RateLimit-Remaining-Requests',
  'X-RateLimit-Reset-Requests',
];
/** Browsers ask again after ten minutes. */
const MAX_AGE_S = 600;

/**
 * Lets pages of these origins use all but the administration. Keys come in headers that a page has to know, so nothing is sent
 * along by itself.
 */
export function corsFor(origins: readonly string[]): CorsOptionsDelegate<IncomingMessage> {
  const allowed: CorsOptions = {
    origin: origins.includes('*') ? '*' : [...origins],
    methods: ['GET', 'HEAD', 'POST', 'DELETE'],
    exposedHeaders: READABLE,
    maxAge: MAX_AGE_S,
  };
  return ({ url = '' }, done) => done(null, ADMIN.test(url) ? { origin: false } : allowed);
}
