import type { IncomingHttpHeaders } from 'node:http';
import { Body, Controller, Header, Headers, Inject, Post } from '@nestjs/common';
import { CredentialStore } from '@voice-fleet/fleet/tenants/credential-store';
import { Authenticator } from '../auth/authenticator.ts';
import { credentialOf } from '../auth/credentials.ts';
import { MintTokenBody, parseBody } from './admin-bodies.ts';
import { tokenView } from './admin-views.ts';

/** Short-lived tokens that a tenant's server makes for its clients; see docs/http.md. */
@Controller('/v1/tokens')
export class TokensController {
  readonly #authenticator: Authenticator;
  readonly #store: CredentialStore;

  constructor(
    @Inject(Authenticator) authenticator: Authenticator,
    @Inject(CredentialStore) store: CredentialStore,
  ) {
    this.#authenticator = authenticator;
    this.#store = store;
  }

  @Post()
  @Header('Cache-Control', 'no-store')
  async mint(
    @Headers() headers: IncomingHttpHeaders,
    @Body() body: unknown,
  ): Promise<Readonly<Record<string, unknown>>> {
    const principal = await this.#authenticator.authenticate(credentialOf(headers), 'tokens');
    const { ttl_s: ttlS, scopes } = parseBody(MintTokenBody, body);
    const options = { ...(ttlS && { ttlS }), ...(scopes && { scopes }) };
    return tokenView(await this.#store.mint(principal, options));
  }
}
