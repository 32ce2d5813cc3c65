import 'reflect-metadata';
import type { Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { NestFactory } from '@nestjs/core';
import type { NestExpressApplication } from '@nestjs/platform-express';
import { connectRedis } from '@voice-fleet/fleet/redis';
import type { Running } from '@voice-fleet/runtime/lifecycle';
import { startInternalServer } from '@voice-fleet/telemetry/internal-server';
import type { Logger } from '@voice-fleet/telemetry/logger';
import { AppModule } from './app.module.ts';
import type { LlmTtsConfig } from './config.ts';
import { ErrorFilter } from './http/error.filter.ts';
import { ServiceHealth } from './http/service-health.ts';
import { ServiceHttp } from './http/service-http.ts';
import { LlmTtsMetrics } from './metrics.ts';

const BODY_BYTES_MAX = 256 * 1024;

export interface LlmTts extends Running {
  readonly port: number;
  readonly internalPort: number;
}

/** Builds the service, starts it, and owns all that it started. */
export async function startLlmTts(config: LlmTtsConfig, log: Logger): Promise<LlmTts> {
  const metrics = new LlmTtsMetrics();
  const redis = connectRedis(config.redisUrl, {
    onError: (error) => log.error({ event: 'redis_lost', err: error }),
    onRecovered: () => log.info({ event: 'redis_back' }),
  });
  const health = new ServiceHealth(() => ({ model: 'builtin-rules', turns: 0 }));
  const app = await NestFactory.create<NestExpressApplication>(
    AppModule.with({ health, errorFilter: new ErrorFilter(log) }),
    new ServiceHttp(),
    { logger: false, abortOnError: false, bodyParser: false },
  );
  app.useBodyParser('json', { limit: BODY_BYTES_MAX });
  const http = app.getHttpServer() as Server;
  await app.listen(config.port, config.host);
  const internal = await startInternalServer({
    port: config.internalPort,
    host: config.internalHost,
    registry: metrics.registry,
    readiness: () => health.readiness(),
  });
  const { port } = http.address() as AddressInfo;
  log.info({ event: 'listening', port, internalPort: internal.port });

  return {
    port,
    internalPort: internal.port,
    close: async () => {
      health.drain();
      const closed = new Promise((resolve) => http.close(resolve));
      http.closeAllConnections();
      await closed;
      await app.close();
      await internal.close();
      redis.disconnect();
      log.info({ event: 'stopped' });
    },
  };
}
