import 'reflect-metadata';
import type { Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { NestFactory } from '@nestjs/core';
import { LeaseKeeper } from '@voice-fleet/fleet/lease-keeper';
import { LeaseStore } from '@voice-fleet/fleet/lease-store';
import { connectRedis } from '@voice-fleet/fleet/redis';
import { WorkerRegistry } from '@voice-fleet/fleet/worker-registry';
import { systemClock } from '@voice-fleet/runtime/clock';
import type { Running } from '@voice-fleet/runtime/lifecycle';
import { startInternalServer } from '@voice-fleet/telemetry/internal-server';
import type { Logger } from '@voice-fleet/telemetry/logger';
import { AppModule } from './app.module.ts';
import { singleKeyAuthenticator } from './auth/authenticator.ts';
import type { GatewayConfig } from './config.ts';
import { Dialects } from './dialects/dialects.ts';
import { yapDialect } from './dialects/yap/dialect.ts';
import { FleetHealth } from './http/fleet-health.ts';
import { GatewayMetrics } from './metrics.ts';
import { WorkerRouter } from './routing/worker-router.ts';
import { VoiceAdapter } from './ws/voice.adapter.ts';

export interface Gateway extends Running {
  readonly port: number;
  readonly internalPort: number;
}

/** Builds the gateway, starts it, and owns all that it started. */
export async function startGateway(config: GatewayConfig, log: Logger): Promise<Gateway> {
  const clock = systemClock;
  const dialects = new Dialects([yapDialect(config.yap)]);
  const metrics = new GatewayMetrics(dialects.names);
  if (config.apiKey === '')
    log.warn({ event: 'locked_down' }, 'VOXTRAL_API_KEY is empty: every client is rejected');

  const redis = connectRedis(config.redisUrl, {
    onError: (error) => log.error({ event: 'redis_lost', err: error }),
    onRecovered: () => log.info({ event: 'redis_back' }),
  });
  const onError = (error: unknown): void => log.error({ event: 'lease_fault', err: error });
  const { pool, leaseTtlMs, placement, maxSessions } = config;
  const store = new LeaseStore(redis, {
    pool,
    ttlMs: leaseTtlMs,
    policy: placement,
    maxLeases: maxSessions,
  });
  const registry = new WorkerRegistry(redis, { pool, leaseTtlMs });
  const keeper = new LeaseKeeper({ store, clock, onError });
  const router = new WorkerRouter({ store, keeper, clock, link: config.link, metrics, log });
  const health = new FleetHealth(() => registry.capacity(), maxSessions);

  const services = {
    clock,
    limits: config.limits,
    authenticator: singleKeyAuthenticator(config.apiKey),
    connect: router.connect.bind(router),
    metrics,
    log,
    maxMessageBytes: config.maxMessageBytes,
    heartbeatMs: config.heartbeatMs,
  };
  const app = await NestFactory.create(AppModule.with({ dialects, services, health }), {
    logger: false,
  });
  const http = app.getHttpServer() as Server;
  const accepts = (path: string): boolean => dialects.at(path) !== undefined;
  app.useWebSocketAdapter(
    new VoiceAdapter(app, { http, maxMessageBytes: config.maxMessageBytes, accepts }),
  );
  await app.listen(config.port, config.host);
  const internal = await startInternalServer({
    port: config.internalPort,
    host: config.internalHost,
    registry: metrics.registry,
    readiness: () => health.readiness(),
  });
  keeper.start();
  const { port } = http.address() as AddressInfo;
  log.info({ event: 'listening', port, internalPort: internal.port, pool });

  return {
    port,
    internalPort: internal.port,
    close: async () => {
      health.stop();
      // No more connections, and none that never sent a request: it would keep the server open for ever.
      http.close();
      http.closeAllConnections();
      await app.close();
      await keeper.stop();
      await internal.close();
      redis.disconnect();
      log.info({ event: 'stopped' });
    },
  };
}
