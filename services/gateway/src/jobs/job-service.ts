import type { BlobStore } from '@voice-fleet/jobs/blobs/blob-store';
import { openBlobs } from '@voice-fleet/jobs/blobs/open-blobs';
import { JobQueue } from '@voice-fleet/jobs/job-queue';
import { JobStore } from '@voice-fleet/jobs/job-store';
import { UrlGuard } from '@voice-fleet/jobs/url-guard';
import { tenantSecret } from '@voice-fleet/jobs/webhooks/signature';
import { WebhookStore } from '@voice-fleet/jobs/webhooks/webhook-store';
import type { Clock } from '@voice-fleet/runtime/clock';
import type { Logger } from '@voice-fleet/telemetry/logger';
import type { Tracer } from '@voice-fleet/telemetry/tracing/tracer';
import type { Redis } from 'ioredis';
import type { ModelNames } from '../catalogue/model-catalogue.ts';
import { RequestSlots } from '../http/request-slots.ts';
import type { Authenticate } from '../http/usage.controller.ts';
import type { DailyAudio } from '../usage/daily-audio.ts';
import { WebhookDispatcher } from '../webhooks/webhook-dispatcher.ts';
import type { WebhooksSource } from '../webhooks/webhooks.controller.ts';
import type { JobMetrics } from './job-metrics.ts';
import { JobRequeue } from './job-requeue.ts';
import { JobSweeper } from './job-sweeper.ts';
import { jobView } from './job-view.ts';
import type { JobsSource } from './jobs.controller.ts';
import { Jobs } from './jobs.ts';
import type { JobsSettings } from './jobs-env.ts';
import { RecordingIntake } from './recording-intake.ts';

export interface JobServiceDeps {
  readonly redis: Redis;
  readonly clock: Clock;
  readonly settings: JobsSettings;
  readonly authenticate: Authenticate;
  readonly models: ModelNames;
  readonly dailyAudio: DailyAudio;
  readonly metrics: JobMetrics;
  readonly log: Logger;
  readonly tracer: Tracer;
}

/** What is being swept when the gateway stops may take so long. */
const CLOSE_MS = 2_000;

/** All that a gateway does about batch jobs, and its owner. */
export class JobService implements JobsSource, WebhooksSource {
  readonly authenticate: Authenticate;
  readonly jobs: Jobs;
  readonly webhooks: WebhookStore;
  readonly #deps: JobServiceDeps;
  readonly #slots: RequestSlots;
  readonly #blobs: BlobStore;
  readonly #queue: JobQueue;
  readonly #requeue: JobRequeue;
  readonly #dispatcher: WebhookDispatcher;
  readonly #sweeper: JobSweeper;

  private constructor(deps: JobServiceDeps, blobs: BlobStore) {
    const { redis, clock, settings, models, dailyAudio, metrics, log, tracer } = deps;
    this.#deps = deps;
    this.authenticate = deps.authenticate;
    this.#slots = new RequestSlots(settings.uploadsMax);
    this.#blobs = blobs;
    this.#queue = new JobQueue(redis);
    const store = new JobStore(redis);
    const queue = this.#queue;
    const { maxBytes, urlTimeoutMs, maxOfTenant, maxOfAll } = settings;
    const urls = new UrlGuard({ allow: settings.urlAllow });
    const webhooks = new UrlGuard({ allow: settings.webhooks.allow });
    this.jobs = new Jobs({
      ...{ clock, store, queue, blobs, models, dailyAudio, maxOfTenant, maxOfAll, log, tracer },
      enabled: settings.enabled,
      slots: this.#slots,
      intake: new RecordingIntake({
        ...{ clock, blobs, maxBytes, urlTimeoutMs, urls, webhooks },
        onStoreFault: (err) => log.error({ event: 'recording_store_fault', err }),
      }),
      onSubmitted: (outcome) => metrics.submitted.labels(outcome).inc(),
    });
    const onError = (err: unknown): void => log.warn({ event: 'job_requeue_fault', err });
    this.#requeue = new JobRequeue({ clock, store, queue, onError });
    this.webhooks = new WebhookStore(redis);
    this.#dispatcher = new WebhookDispatcher({
      ...{ clock, jobs: store, log, view: jobView, guard: webhooks },
      store: this.webhooks,
      settings: settings.webhooks,
      metrics: metrics.webhooks,
    });
    const { audioKeptMs, keptMs } = settings;
    this.#sweeper = new JobSweeper({
      ...{ clock, store, blobs, audioKeptMs, keptMs, log },
      onSwept: (what) => metrics.swept.labels(what).inc(),
    });
    metrics.waitingNow = () => queue.waiting();
  }

  /** Rejects with RangeError for a rule of URLs that is none. */
  static async open(deps: JobServiceDeps): Promise<JobService> {
    return new JobService(deps, await openBlobs(deps.settings.blobs));
  }

  secretsOf(tenantId: string): readonly string[] {
    const { secrets } = this.#deps.settings.webhooks;
    return secrets.map((secret) => tenantSecret(secret, tenantId));
  }

  /** Jobs that wait or are under way. Throws `RedisUnavailable`. */
  async unfinished(): Promise<number> {
    const { waiting, delayed, active } = await this.#queue.counts();
    return waiting + delayed + active;
  }

  start(): void {
    this.#requeue.start();
    this.#sweeper.start();
    if (this.#deps.settings.webhooks.secrets.length > 0) this.#dispatcher.start();
  }

  /** Begins no more, and settles when recordings that are being taken in are in and webhooks sent, or `graceMs` is over. */
  async drain(graceMs: number): Promise<void> {
    const { clock } = this.#deps;
    await Promise.all([this.#slots.drain(clock, graceMs), this.#dispatcher.close(graceMs)]);
  }

  async close(): Promise<void> {
    // A store that hangs lets go of what is asked of it when it is closed.
    const late = this.#deps.clock.after(CLOSE_MS, () => this.#blobs.close());
    await Promise.all([this.#requeue.stop(), this.#sweeper.stop()]);
    late.cancel();
    await this.#queue.close();
    this.#blobs.close();
  }
}
