import type { IncomingMessage, ServerResponse } from 'node:http';
import {
  type CanActivate,
  type ExecutionContext,
  Inject,
  Injectable,
  NotFoundException,
} from '@nestjs/common';
import { VoiceError } from '@voice-fleet/protocol/errors';
import { credentialOf } from '../auth/credentials.ts';
import { SecretCheck } from '../auth/secret-check.ts';

/** Knows ADMIN_API_KEY. A class of its own, for Nest makes guards itself. */
export class AdminKey extends SecretCheck {}

/** Lets the operator in. Without a key there is no admin API: each path of it is unknown. */
@Injectable()
export class AdminGuard implements CanActivate {
  readonly #key: AdminKey;

  constructor(@Inject(AdminKey) key: AdminKey) {
    this.#key = key;
  }

  canActivate(context: ExecutionContext): boolean {
    const http = context.switchToHttp();
    const { headers } = http.getRequest<IncomingMessage>();
    // Answers hold new secrets.
    http.getResponse<ServerResponse>().setHeader('Cache-Control', 'no-store');
    if (!this.#key.isSet) throw new NotFoundException();
    if (this.#key.accepts(credentialOf(headers))) return true;
    throw new VoiceError('authentication_failed', {
      message: 'Missing or wrong admin key. Pass it in the header X-API-Key or as a Bearer token.',
    });
  }
}
