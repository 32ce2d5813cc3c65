import type { IncomingHttpHeaders } from 'node:http';
import { Body, Controller, Header, Headers, HttpCode, Inject, Post } from '@nestjs/common';
import { CredentialStore, TOKEN_TTL_S } from '@voice-fleet/fleet/tenants/credential-store';
import { VoiceError } from '@voice-fleet/protocol/errors';
import {
  OPENAI_REALTIME_PATH,
  OpenAiClientSecretRequest,
} from '@voice-fleet/protocol/openai-realtime';
import { Authenticator } from '../auth/authenticator.ts';
import { credentialOf } from '../auth/credentials.ts';
import { ModelSource } from '../catalogue/models.controller.ts';
import { SessionConfig } from '../dialects/openai-realtime/session-config.ts';

/** As long as OpenAI's live. */
const DEFAULT_TTL_S = 600;
/** It is kept in Redis for as long as the token lives. */
const MAX_SESSION_CHARS = 16_384;

/** Tokens for browsers, each bound to the session that its holder is to have; see docs/protocols/openai-realtime.md. */
@Controller(OPENAI_REALTIME_PATH)
export class ClientSecretsController {
  readonly #authenticator: Authenticator;
  readonly #store: CredentialStore;
  readonly #models: ModelSource;

  constructor(
    @Inject(Authenticator) authenticator: Authenticator,
    @Inject(CredentialStore) store: CredentialStore,
    @Inject(ModelSource) models: ModelSource,
  ) {
    this.#authenticator = authenticator;
    this.#store = store;
    this.#models = models;
  }

  @Post('client_secrets')
  @HttpCode(200)
  @Header('Cache-Control', 'no-store')
  async mint(
    @Headers() headers: IncomingHttpHeaders,
    @Body() body: unknown,
  ): Promise<Readonly<Record<string, unknown>>> {
    const principal = await this.#authenticator.authenticate(credentialOf(headers), 'tokens');
    const { expires_after, session } = parse(body);
    const config = SessionConfig.default({ model: undefined, transcribes: false }).updated(
      session ?? {},
    );
    // What cannot be served is better known now than when its holder dials.
    const { model } = config.options;
    if (model !== undefined) await this.#models.catalogue.resolve(model, principal.models);
    const bound = JSON.stringify(session ?? {});
    if (bound.length > MAX_SESSION_CHARS)
      throw new VoiceError('message_too_large', {
        message: `The session may have ${MAX_SESSION_CHARS} characters of JSON.`,
      });
    const wishS = expires_after?.seconds ?? DEFAULT_TTL_S;
    const ttlS = Math.min(TOKEN_TTL_S.max, Math.max(TOKEN_TTL_S.min, wishS));
    const { token, expiresAtMs } = await this.#store.mint(principal, { ttlS, session: bound });
    return {
      value: `ek_${token}`,
      expires_at: Math.floor(expiresAtMs / 1000),
      session: config.wire(),
    };
  }
}

function parse(body: unknown): OpenAiClientSecretRequest {
  const parsed = OpenAiClientSecretRequest.safeParse(body ?? {});
  if (parsed.success) return parsed.data;
  const param = parsed.error.issues[0]?.path.join('.') || 'body';
  throw new VoiceError('invalid_message', {
    message: `${param} is not valid.`,
    details: { param },
  });
}
