import 'reflect-metadata';
import type { AddressInfo } from 'node:net';
import { Module } from '@nestjs/common';
import { NestFactory } from '@nestjs/core';
import type { NestExpressApplication } from '@nestjs/platform-express';
import { connectRedis, untilReady } from '@voice-fleet/fleet/redis';
import { TenantLimits } from '@voice-fleet/fleet/tenant';
import { CredentialStore } from '@voice-fleet/fleet/tenants/credential-store';
import { TenantStore } from '@voice-fleet/fleet/tenants/tenant-store';
import { Authenticator } from '@voice-fleet/gateway/auth/authenticator';
import { RevocationWatch } from '@voice-fleet/gateway/auth/revocation-watch';
import { AdminController } from '@voice-fleet/gateway/http/admin.controller';
import { AdminKey } from '@voice-fleet/gateway/http/admin.guard';
import { useJsonBodies } from '@voice-fleet/gateway/http/admin-bodies';
import { ErrorFilter } from '@voice-fleet/gateway/http/error.filter';
import { TokensController } from '@voice-fleet/gateway/http/tokens.controller';
import { systemClock as clock } from '@voice-fleet/runtime/clock';
import { createLogger } from '@voice-fleet/telemetry/logger';
import type { Redis } from 'ioredis';

export const ADMIN_KEY = 'operators-only';
export const ENV_KEY = 'key-of-the-environment';

export interface Answer {
  readonly status: number;
  readonly headers: Headers;
  // biome-ignore lint/suspicious/noExplicitAny: tests look at what JSON they get
  readonly body: any;
}

/** The controllers of tenants and tokens with all they need, on a port of their own. */
export class AdminApp implements AsyncDisposable {
  readonly redis: Redis;
  readonly tenants: TenantStore;
  readonly credentials: CredentialStore;
  readonly watch: RevocationWatch;
  readonly authenticator: Authenticator;
  /** Every line logged. */
  log = '';
  #app: NestExpressApplication | undefined;
  #url = '';

  private constructor(redis: Redis) {
    this.redis = redis;
    this.tenants = new TenantStore(redis);
    this.credentials = new CredentialStore(redis);
    const log = this.#logger();
    this.watch = new RevocationWatch({ store: this.credentials, clock, log });
    this.authenticator = new Authenticator({
      store: this.credentials,
      watch: this.watch,
      clock,
      log,
      envKey: ENV_KEY,
      envLimits: TenantLimits.parse({ maxSessions: 9 }),
    });
  }

  static async start(redisUrl: string, adminKey = ADMIN_KEY): Promise<AdminApp> {
    const redis = connectRedis(redisUrl, { onError: () => undefined, commandTimeoutMs: 2_000 });
    await untilReady(redis, AbortSignal.timeout(30_000));
    const app = new AdminApp(redis);
    await app.#listen(adminKey);
    app.watch.start();
    return app;
  }

  /** A body that is a string goes out as it is. */
  async call(
    method: string,
    path: string,
    body?: unknown,
    headers: Record<string, string> = { 'x-api-key': ADMIN_KEY },
  ): Promise<Answer> {
    const response = await fetch(`${this.#url}${path}`, {
      method,
      headers: { 'content-type': 'application/json', ...headers },
      ...(body !== undefined && { body: typeof body === 'string' ? body : JSON.stringify(body) }),
    });
    return { status: response.status, headers: response.headers, body: await response.json() };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#app?.close();
    this.authenticator.stop();
    await this.watch.stop();
    this.redis.disconnect();
  }

  async #listen(adminKey: string): Promise<void> {
    class AdminModule {}
    Module({
      controllers: [AdminController, TokensController],
      providers: [
        { provide: TenantStore, useValue: this.tenants },
        { provide: CredentialStore, useValue: this.credentials },
        { provide: Authenticator, useValue: this.authenticator },
        { provide: AdminKey, useValue: new AdminKey(adminKey) },
      ],
    })(AdminModule);
    this.#app = await NestFactory.create<NestExpressApplication>(AdminModule, {
      logger: false,
      bodyParser: false,
    });
    useJsonBodies(this.#app);
    this.#app.useGlobalFilters(new ErrorFilter(this.#logger()));
    await this.#app.listen(0, '127.0.0.1');
    const { port } = this.#app.getHttpServer().address() as AddressInfo;
    this.#url = `http://127.0.0.1:${port}`;
  }

  #logger() {
    return createLogger('test', 'trace', {
      write: (line: string) => {
        this.log += line;
      },
    });
  }
}
