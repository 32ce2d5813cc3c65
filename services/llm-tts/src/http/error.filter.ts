import { type ArgumentsHost, Catch, type ExceptionFilter } from '@nestjs/common';
import { VoiceError } from '@voice-fleet/protocol/errors';
import type { Logger } from '@voice-fleet/telemetry/logger';

/** The part of an HTTP response used here. */
interface HttpResponse {
  readonly headersSent: boolean;
  setHeader(name: string, value: string): void;
  status(code: number): { json(body: unknown): void };
  destroy(): void;
}

interface Answer {
  readonly status: number;
  readonly code: string;
  readonly message: string;
  readonly details?: VoiceError['details'];
}

/** Answers whatever a controller or a parser throws, as `{error: {code, message, details}}`. Nothing of an unknown fault is shown. */
@Catch()
export class ErrorFilter implements ExceptionFilter {
  readonly #log: Pick<Logger, 'error'>;

  constructor(log: Pick<Logger, 'error'>) {
    this.#log = log;
  }

  catch(thrown: unknown, host: ArgumentsHost): void {
    const response = host.switchToHttp().getResponse<HttpResponse>();
    const { status, code, message, details = {} } = this.#answer(thrown);
    // A body that has begun cannot become another one; cut off, it cannot be taken for a whole one either.
    if (response.headersSent) return response.destroy();
    if (thrown instanceof VoiceError && typeof thrown.details['retry_after_s'] === 'number')
      response.setHeader('Retry-After', String(thrown.details['retry_after_s']));
    response.status(status).json({ error: { code, message, details } });
  }

  #answer(thrown: unknown): Answer {
    if (thrown instanceof VoiceError) {
      const { status, code, message } = thrown;
      if (code === 'internal') this.#report(thrown.cause ?? thrown);
      return { status, code, message, details: thrown.details };
    }
    const status = statusOf(thrown);
    if (status === 404)
      return { status, code: 'not_found', message: 'There is no such path here.' };
    if (status === 413)
      return { status, code: 'message_too_large', message: 'The body is too large.' };
    if (status >= 400 && status < 500)
      return { status, code: 'invalid_message', message: 'The body is not valid JSON.' };
    this.#report(thrown);
    return { status: 500, code: 'internal', message: 'Internal error.' };
  }

  #report(error: unknown): void {
    this.#log.error({ event: 'http_fault', err: error });
  }
}

/** Nest has `getStatus()`, its body parser `status`; 500 for all else. */
function statusOf(thrown: unknown): number {
  if (typeof thrown !== 'object' || thrown === null) return 500;
  if ('getStatus' in thrown && typeof thrown.getStatus === 'function')
    return Number(thrown.getStatus());
  return 'status' in thrown && typeof thrown.status === 'number' ? thrown.status : 500;
}
