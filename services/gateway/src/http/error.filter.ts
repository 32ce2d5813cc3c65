import { type ArgumentsHost, Catch, type ExceptionFilter } from '@nestjs/common';
import { RedisUnavailable } from '@voice-fleet/fleet/redis';
import { TenantError, type TenantFault } from '@voice-fleet/fleet/tenants/tenant-error';
import { VoiceError } from '@voice-fleet/protocol/errors';
import { openAiError, retryHeaders } from '@voice-fleet/protocol/openai-error';
import type { Logger } from '@voice-fleet/telemetry/logger';
import type { Dialect } from '../dialects/dialect.ts';
import { allowedMethods, type RoutedRequest } from './allowed-methods.ts';
import { requestIdOf } from './request-id.ts';

/** The body of a failed HTTP request, of all paths that have none of their own. */
export interface HttpErrorBody {
  readonly error: {
    readonly code: string;
    readonly message: string;
    readonly details: Readonly<Record<string, string | number>>;
  };
}

/** The part of an HTTP request and response used here. */
interface HttpRequest extends RoutedRequest {
  readonly method: string;
}
/** A request that failed, and its name in answers and logs. */
interface Failed {
  readonly method: string;
  readonly path: string;
  readonly id: string;
}
interface HttpResponse {
  readonly headersSent: boolean;
  setHeader(name: string, value: string): void;
  getHeader(name: string): number | string | string[] | undefined;
  status(code: number): { json(body: unknown): void };
  end(): void;
}

interface Answer extends HttpErrorBody {
  readonly status: number;
}

const TENANT_STATUS = {
  tenant_not_found: 404,
  key_not_found: 404,
  tenant_exists: 409,
  tenant_reserved: 409,
  tenant_disabled: 409,
  key_not_active: 409,
  too_many_tenants: 409,
  too_many_keys: 409,
  too_many_tokens: 429,
  busy: 409,
  invalid_value: 400,
  unreadable_record: 500,
} as const satisfies Record<TenantFault, number>;

/** Clients of OpenAI ask here, and read the errors that they know from there. */
export const OPENAI_PATHS =
  /^\/v1\/(?:audio\/(?:transcriptions|translations|speech)|chat|models|realtime)(?:\/|$)/;
/** More is no wait to them: they come again at once. */
const MAX_RETRY_S = 60;

/** When to come again if nothing is known: about as long as somebody waited in vain. */
const RETRY_S: Readonly<Record<string, number>> = {
  at_capacity: 5,
  fleet_unavailable: 5,
  worker_unavailable: 5,
  inbound_queue_full: 5,
};

/** Answers whatever a controller or a parser throws, in the one form that docs/http.md tells. Nothing of an unknown fault is shown. */
@Catch()
export class ErrorFilter implements ExceptionFilter {
  readonly #log: Pick<Logger, 'error'>;
  readonly #dialectAt: (path: string) => Pick<Dialect, 'refusal'> | undefined;

  /** `dialectAt`: whose own errors are told on its paths, also to plain requests. */
  constructor(
    log: Pick<Logger, 'error'>,
    dialectAt: (path: string) => Pick<Dialect, 'refusal'> | undefined = () => undefined,
  ) {
    this.#log = log;
    this.#dialectAt = dialectAt;
  }

  catch(raised: unknown, host: ArgumentsHost): void {
    const http = host.switchToHttp();
    const response = http.getResponse<HttpResponse>();
    const routed = http.getRequest<HttpRequest>();
    const { method, path } = routed;
    const request = { method, path, id: requestIdOf(response) };
    const known = isVoid(raised) ? allowedMethods(routed) : [];
    // A route that takes the method and says that it is not there, as the admin API without a key, is believed.
    const allowed = known.includes(method) ? [] : known;
    const thrown = allowed.length > 0 ? wrongMethod(request) : raised;
    if (allowed.length > 0) response.setHeader('Allow', allowed.join(', '));
    const answer = this.#answer(thrown, request);
    const { status, error } = answer;
    // A body that has begun cannot become another one.
    if (response.headersSent) return response.end();
    const waitS = error.details['retry_after_s'] ?? RETRY_S[error.code];
    if (typeof waitS === 'number')
      response.setHeader('Retry-After', String(Math.min(MAX_RETRY_S, Math.ceil(waitS))));
    if (status === 401) response.setHeader('WWW-Authenticate', 'Bearer');
    const headers = retryHeaders({ status, ...error });
    for (const [name, value] of Object.entries(headers)) response.setHeader(name, value);
    response.status(status).json(this.#body(thrown, answer, request, response));
  }

  /** In the words that clients of this path know. */
  #body(
    thrown: unknown,
    { status, error }: Answer,
    { path, id }: Failed,
    response: HttpResponse,
  ): unknown {
    const own = thrown instanceof VoiceError && this.#dialectAt(path)?.refusal?.(thrown, id);
    if (own) {
      const { body, headers = {} } = own;
      for (const [name, value] of Object.entries(headers)) response.setHeader(name, value);
      return body;
    }
    return { error: OPENAI_PATHS.test(path) ? openAiError({ status, ...error }) : error };
  }

  #answer(thrown: unknown, request: Failed): Answer {
    if (thrown instanceof VoiceError) {
      const { code, message, details, status } = thrown;
      if (code === 'internal') this.#report(thrown.cause ?? thrown, request);
      return { status, error: { code, message, details } };
    }
    if (thrown instanceof TenantError) {
      const { code, message } = thrown;
      if (code === 'unreadable_record') this.#report(thrown, request);
      return { status: TENANT_STATUS[code], error: { code, message, details: {} } };
    }
    if (thrown instanceof RedisUnavailable)
      return this.#answer(
        new VoiceError('fleet_unavailable', {
          message: 'Redis cannot be reached right now. Try again shortly.',
          details: { retry_after_s: 1 },
        }),
        request,
      );
    return this.#ofFramework(thrown, request);
  }

  /** Faults of Nest and of its body parser: `status` 404 for an unknown path, 405 for a method, 400, 413 or 415 for a body. */
  #ofFramework(thrown: unknown, request: Failed): Answer {
    const { method, path } = request;
    const status = statusOf(thrown);
    if (status === 404) return plain(404, 'not_found', `There is no ${method} ${path} here.`);
    if (status === 405) return plain(405, 'method_not_allowed', `${path} does not take ${method}.`);
    if (status === 413) return plain(413, 'message_too_large', 'The body is too large.');
    if (status === 415)
      return plain(415, 'invalid_message', 'The body must be JSON in UTF-8, plain or gzip.');
    if (status === 400 && !canDecode(path))
      return plain(400, 'invalid_message', 'The path is not valid.');
    if (status === 400) return plain(400, 'invalid_message', 'The body is not valid JSON.');
    if (status >= 400 && status < 500)
      return plain(status, 'invalid_message', 'The request is not valid.');
    this.#report(thrown, request);
    return plain(500, 'internal', 'Internal error.');
  }

  #report(error: unknown, { id }: Failed): void {
    this.#log.error({ event: 'http_fault', requestId: id, err: error });
  }
}

/** The framework found no route. */
function isVoid(thrown: unknown): boolean {
  return !(thrown instanceof VoiceError) && statusOf(thrown) === 404;
}

function wrongMethod({ method, path }: Failed): VoiceError {
  return new VoiceError('method_not_allowed', { message: `${path} does not take ${method}.` });
}

function plain(status: number, code: string, message: string): Answer {
  return { status, error: { code, message, details: {} } };
}

/** Nest has `getStatus()`, its body parser `status`; 500 for all else. */
function statusOf(thrown: unknown): number {
  if (typeof thrown !== 'object' || thrown === null) return 500;
  if ('getStatus' in thrown && typeof thrown.getStatus === 'function')
    return Number(thrown.getStatus());
  return 'status' in thrown && typeof thrown.status === 'number' ? thrown.status : 500;
}

/** What is escaped in a path is whole. */
function canDecode(path: string): boolean {
  try {
    decodeURIComponent(path);
    return true;
  } catch {
    return false;
  }
}
