import 'reflect-metadata';
import type { Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import type { DynamicModule } from '@nestjs/common';
import { NestFactory } from '@nestjs/core';
import type { NestExpressApplication } from '@nestjs/platform-express';
import { DemandLedger } from '@voice-fleet/fleet/demand-ledger';
import { LeaseKeeper } from '@voice-fleet/fleet/lease-keeper';
import { LeaseStore } from '@voice-fleet/fleet/lease-store';
import { connectRedis } from '@voice-fleet/fleet/redis';
import { SessionStore } from '@voice-fleet/fleet/sessions/session-store';
import { UsageLedger } from '@voice-fleet/fleet/sessions/usage-ledger';
import { TenantLimits } from '@voice-fleet/fleet/tenant';
import { CredentialStore } from '@voice-fleet/fleet/tenants/credential-store';
import { TenantStore } from '@voice-fleet/fleet/tenants/tenant-store';
import { WaitingLine } from '@voice-fleet/fleet/waiting-line';
import { WorkerRegistry } from '@voice-fleet/fleet/worker-registry';
import { AUDIO_CHAT_PATH } from '@voice-fleet/protocol/chunk';
import { CHAT_COMPLETIONS_PATH, SPEECH_PATH } from '@voice-fleet/protocol/openai-rest';
import { systemClock } from '@voice-fleet/runtime/clock';
import type { Running } from '@voice-fleet/runtime/lifecycle';
import { startInternalServer } from '@voice-fleet/telemetry/internal-server';
import type { Logger } from '@voice-fleet/telemetry/logger';
import { NO_TRACER, type Tracer } from '@voice-fleet/telemetry/tracing/tracer';
import { AppModule } from './app.module.ts';
import { Authenticator } from './auth/authenticator.ts';
import { RevocationWatch } from './auth/revocation-watch.ts';
import { llmModels } from './catalogue/llm-models.ts';
import { ModelCatalogue } from './catalogue/model-catalogue.ts';
import type { GatewayConfig } from './config.ts';
import { DemandBook } from './demand/demand-book.ts';
import { DemandWatch } from './demand/demand-watch.ts';
import type { Dialect } from './dialects/dialect.ts';
import { Dialects } from './dialects/dialects.ts';
import { ownDialects } from './dialects/own-dialects.ts';
import { AdminKey } from './http/admin.guard.ts';
import { useJsonBodies } from './http/admin-bodies.ts';
import { corsFor } from './http/cors.ts';
import { ErrorFilter } from './http/error.filter.ts';
import { FleetHealth } from './http/fleet-health.ts';
import { LimitedHttp } from './http/limited-http.ts';
import { PageFiles } from './http/page-files.ts';
import { RateHeaders } from './http/rate-headers.ts';
import { Recordings } from './http/recordings.ts';
import type { Upstream } from './http/relay.ts';
import { RequestSlots } from './http/request-slots.ts';
import { VoiceConfig } from './http/stream-config.controller.ts';
import { TlsDoor } from './http/tls-door.ts';
import { JobService } from './jobs/job-service.ts';
import { LeanModule } from './lean/lean.module.ts';
import type { LeanSettings } from './lean/lean-env.ts';
import { GatewayMetrics } from './metrics.ts';
import { WorkerDelays } from './routing/worker-delays.ts';
import { WorkerRoute } from './routing/worker-route.ts';
import { DailyAudio } from './usage/daily-audio.ts';
import { SessionUsage } from './usage/session-usage.ts';
import { UsageMeter } from './usage/usage-meter.ts';
import { pipelines } from './voice/pipelines.ts';
import { HTTP_PROTOCOL, Transcriber } from './voice/transcriber.ts';
import { TurnClient } from './voice/turn-client.ts';
import { Admission } from './ws/admission.ts';
import { SessionRecords } from './ws/session-records.ts';
import { UpgradeGate } from './ws/upgrade-gate.ts';
import { UpgradeHold } from './ws/upgrade-gate-hold.ts';
import { VoiceAdapter } from './ws/voice.adapter.ts';
import type { ConnectionServices } from './ws/voice.gateway.ts';

/** What a form holds beside its file. */
const FORM_BYTES_MAX = 65_536;
/** Its longest text, every character of it escaped, and as long instructions. */
const SPEECH_BYTES_MAX = 131_072;

export interface Gateway extends Running {
  readonly port: number;
  /** With TLS, if there is one. */
  readonly tlsPort: number | undefined;
  readonly internalPort: number;
}

/**
 * Builds the gateway, starts it, and owns all that it started. `extraDialects` are spoken beside its own, as in tests; with
 * `lean`, it speaks the lean protocol alone.
 */
export async function startGateway(
  config: GatewayConfig,
  log: Logger,
  extraDialects: readonly Dialect[] = [],
  lean?: LeanSettings,
  tracer: Tracer = NO_TRACER,
): Promise<Gateway> {
  const clock = systemClock;
  const dialects = new Dialects([...ownDialects(config, lean), ...extraDialects]);
  const metrics = new GatewayMetrics([...dialects.names, HTTP_PROTOCOL]);
  if (config.apiKey === '')
    log.warn(
      { event: 'stored_keys_only' },
      'VOXTRAL_API_KEY is empty: only stored keys open sessions',
    );

  if (config.adminKey !== '' && config.adminKey === config.apiKey)
    log.warn(
      { event: 'admin_key_shared' },
      'ADMIN_API_KEY is VOXTRAL_API_KEY: every client may administer',
    );

  const redis = connectRedis(config.redisUrl, {
    onError: (error) => log.error({ event: 'redis_lost', err: error }),
    onRecovered: () => log.info({ event: 'redis_back' }),
  });
  // A connection that listens can do nothing else. What ails it ails the first one, which tells.
  const subscriber = connectRedis(config.redisUrl, { onError: () => undefined });
  const onError = (event: string) => (error: unknown) => log.error({ event, err: error });
  const { fleet, leaseTtlMs, placement, maxSessions, maxWaiting } = config;
  const store = new LeaseStore(redis, {
    fleet,
    ttlMs: leaseTtlMs,
    policy: placement.policy,
    weights: placement.weights,
    maxLeases: maxSessions,
    maxWaiting,
  });
  const registry = new WorkerRegistry(redis, {
    fleet,
    leaseTtlMs,
    closedPools: placement.closedPools,
  });
  const capacity = registry.capacity.bind(registry);
  const keeper = new LeaseKeeper({ store, clock, onError: onError('lease_fault') });
  const line = new WaitingLine({ store, subscriber, clock, onError: onError('line_fault') });
  metrics.spans.watch(tracer);
  const health = new FleetHealth(capacity, maxSessions);
  metrics.waitingNow = () => line.waiting;

  const credentials = new CredentialStore(redis);
  const watch = new RevocationWatch({ store: credentials, clock, log });
  const authenticator = new Authenticator({
    store: credentials,
    watch,
    clock,
    log,
    envKey: config.apiKey,
    envLimits: TenantLimits.parse({}),
  });
  const ledger = new UsageLedger(redis);
  const meter = new UsageMeter({ ledger, clock, onError: onError('usage_fault') });
  const delays = new WorkerDelays({
    clock,
    read: () => registry.delays(),
    onError: onError('delays_unread'),
  });
  const book = new DemandBook(clock);
  const route = { line: book.watch(line), keeper, clock, delays, link: config.link, metrics, log };
  const sessions = new SessionStore(redis, { fleet, ttlMs: config.resumeTtlMs });

  const models = new ModelCatalogue({
    served: () => registry.models(),
    aliases: config.modelAliases,
    clock,
  });
  const dailyAudio = new DailyAudio(ledger);
  const onRefused = book.refused.bind(book);
  const hold = new UpgradeHold({ clock, capacity, maxSessions, onRefused });
  const gate = new UpgradeGate({
    dialects,
    limits: config.upgrades,
    authenticator,
    models,
    dailyAudio,
    store,
    hold,
    metrics,
    log,
  });

  const services: ConnectionServices = {
    clock,
    admission: new Admission({
      clock,
      authenticator,
      watch,
      models,
      route: (request) => new WorkerRoute(request, route),
      records: new SessionRecords({ store: sessions, clock, metrics, log }),
      dailyAudio,
      store,
      limits: config.limits,
      modelFailed: async () => (await health.readiness()).reason === 'model_load_failed',
      holdMs: config.holdMs,
      maxWaitMs: config.maxWaitMs,
    }),
    pipeline: pipelines({ clock, settings: config.voice, metrics }, lean),
    usage: ({ session, principal }, owner) =>
      new SessionUsage(session.id, principal, owner, { meter, watch }),
    metrics,
    log,
    tracer,
    gate,
    maxMessageBytes: config.maxMessageBytes,
    maxBytesPerS: config.maxBytesPerS,
    heartbeatMs: config.heartbeatMs,
    drainMs: config.drainMs,
  };
  const { admission, usage } = services;
  const { failover } = config.limits;
  const requests = new RequestSlots(config.recordings.maxAtOnce);
  const recordings = new Recordings({
    settings: config.recordings,
    authenticate: authenticator.authenticate.bind(authenticator),
    transcriber: new Transcriber({
      clock,
      admission,
      usage,
      metrics,
      log,
      tracer,
      // A worker may have to be looked for, and what it heard be heard again.
      patienceMs: failover.timeoutMs + config.voice.asrTimeoutMs,
    }),
    slots: requests,
    rates: new RateHeaders(store),
    models,
    guestKey: lean?.guestKey,
  });
  const llmTts = (path: string, maxBodyBytes: number): Upstream => ({
    url: new URL(path, config.voice.llmTtsUrl),
    clock,
    dialTimeoutMs: config.link.dialTimeoutMs,
    maxBodyBytes,
  });
  const jobs = await JobService.open({
    ...{ redis, clock, models, dailyAudio, log, tracer, settings: config.jobs },
    metrics: metrics.jobs,
    authenticate: authenticator.authenticate.bind(authenticator),
  });
  const demand = new DemandWatch({
    ...{ ...config.demand, clock, book, capacity, metrics: metrics.demand },
    weights: placement.weights,
    ledger: new DemandLedger(redis, { fleet }),
    held: () => hold.byModel,
    jobs: () => jobs.unfinished(),
    onError: onError('demand_fault'),
  });
  const page = new PageFiles();
  const errorFilter = new ErrorFilter(log, (path) => dialects.at(path));
  const shared = { dialects, services, health, recordings, page, errorFilter };
  const full = (): DynamicModule =>
    AppModule.with({
      ...shared,
      authenticator,
      credentials,
      tenants: new TenantStore(redis),
      adminKey: new AdminKey(config.adminKey),
      usage: {
        authenticate: authenticator.authenticate.bind(authenticator),
        ledger,
        wallNow: () => clock.wallNow(),
      },
      sessions: { count: () => metrics.openSessions() },
      voice: new VoiceConfig(config.voice),
      audioChat: {
        log,
        authenticate: authenticator.authenticate.bind(authenticator),
        upstream: llmTts(AUDIO_CHAT_PATH, config.audioChatMaxBytes + FORM_BYTES_MAX),
      },
      models: {
        authenticate: authenticator.authenticate.bind(authenticator),
        catalogue: models,
        others: llmModels(config.voice.llmTtsUrl, log),
        sinceS: Math.floor(clock.wallNow() / 1000),
      },
      llmRelay: {
        log,
        authenticate: authenticator.authenticate.bind(authenticator),
        relayed: metrics.relayed,
        upstreams: {
          speech: llmTts(SPEECH_PATH, SPEECH_BYTES_MAX),
          chat: llmTts(CHAT_COMPLETIONS_PATH, config.chatMaxBytes),
        },
      },
      jobs,
      turns: new TurnClient(config.voice.llmTtsUrl),
    });
  const app = await NestFactory.create<NestExpressApplication>(
    lean ? LeanModule.with(shared, lean) : full(),
    new LimitedHttp(config, clock),
    { logger: false, abortOnError: false, bodyParser: false },
  );
  if (config.corsOrigins.length > 0) app.enableCors(corsFor(config.corsOrigins));
  useJsonBodies(app);
  const http = app.getHttpServer() as Server;
  app.useWebSocketAdapter(
    new VoiceAdapter(app, { http, maxMessageBytes: config.maxMessageBytes, gate, dialects }),
  );
  await app.listen(config.port, config.host);
  const onCertificate = (endsS: number): void => metrics.certificateExpiry.set(endsS);
  const { host, headersTimeoutMs, uploadTimeoutMs } = config;
  const door = { host, headersTimeoutMs, uploadTimeoutMs, clock, log, onCertificate };
  const tls = config.tls && (await TlsDoor.open(http, { ...config.tls, ...door }));
  const internal = await startInternalServer({
    port: config.internalPort,
    host: config.internalHost,
    registry: metrics.registry,
    readiness: () => health.readiness(),
  });
  keeper.start();
  line.start();
  watch.start();
  meter.start();
  demand.start();
  if (!lean) jobs.start();
  const { port } = http.address() as AddressInfo;
  const tlsPort = tls?.port;
  log.info({ event: 'listening', port, tlsPort, internalPort: internal.port, fleet });

  return {
    port,
    tlsPort,
    internalPort: internal.port,
    close: async () => {
      health.stop();
      gate.stop();
      // No more connections, and none that never sent a request: it would keep the server open for ever.
      http.close();
      http.closeIdleConnections();
      tls?.close();
      const drained = Promise.all([
        requests.drain(clock, config.drainMs),
        jobs.drain(config.drainMs),
      ]).then(() => {
        http.closeAllConnections();
        tls?.closeAllConnections();
      });
      await Promise.all([drained, app.close()]);
      authenticator.stop();
      await Promise.all([line.stop(), watch.stop(), meter.stop(), demand.stop()]);
      await jobs.close();
      await keeper.stop();
      await internal.close();
      subscriber.disconnect();
      redis.disconnect();
      log.info({ event: 'stopped' });
    },
  };
}
