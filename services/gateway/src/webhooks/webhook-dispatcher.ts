import { randomUUID } from 'node:crypto';
import type { JobRecord } from '@voice-fleet/jobs/job';
import type { JobStore } from '@voice-fleet/jobs/job-store';
import type { UrlGuard } from '@voice-fleet/jobs/url-guard';
import { tenantSecret, webhookHeaders } from '@voice-fleet/jobs/webhooks/signature';
import { webhookEvent, webhookEventId } from '@voice-fleet/jobs/webhooks/webhook-event';
import type {
  AttemptEnd,
  WebhookLease,
  WebhookStore,
} from '@voice-fleet/jobs/webhooks/webhook-store';
import type { JobView } from '@voice-fleet/protocol/jobs';
import type { DeliveryOutcome } from '@voice-fleet/protocol/webhooks';
import { backoffMs } from '@voice-fleet/runtime/backoff';
import { type Clock, sleep, type Timer } from '@voice-fleet/runtime/clock';
import type { Logger } from '@voice-fleet/telemetry/logger';
import type { WebhookMetrics } from './webhook-metrics.ts';
import { type Answer, type Sent, sendWebhook } from './webhook-sender.ts';

export interface WebhookSettings {
  /** Of the fleet, the newest first; each signs. Without one there are no webhooks. */
  readonly secrets: readonly string[];
  readonly timeoutMs: number;
  readonly maxAttempts: number;
  readonly maxAgeMs: number;
  /** At a time, in this gateway. */
  readonly maxAtOnce: number;
  readonly retryBaseMs: number;
  readonly retryCapMs: number;
  /** How often it looks for what is due. */
  readonly tickMs: number;
  /** Beyond the time of a request, for what goes before and after it. A dead gateway's webhooks are taken up so much later. */
  readonly leaseMarginMs: number;
}

export interface WebhookDispatcherDeps {
  readonly clock: Clock;
  readonly jobs: Pick<JobStore, 'get'>;
  readonly store: WebhookStore;
  readonly guard: UrlGuard;
  readonly settings: WebhookSettings;
  /** A job as its client sees it. */
  readonly view: (job: JobRecord) => JobView;
  readonly metrics: WebhookMetrics;
  readonly log: Logger;
}

/** The answer may have been an acknowledgement: it is worth more than one try to write it down. */
const SETTLE_AGAIN_MS = 500;

/**
 * Sends webhooks that are due, as every gateway does. Each is leased from Redis, so that one gateway sends it at a time, and looked up
 * right before it is sent. Nothing waits here: what cannot be sent now stays in Redis.
 */
export class WebhookDispatcher {
  readonly #deps: WebhookDispatcherDeps;
  readonly #leaseMs: number;
  /** Of one tenant at a time: one slow receiver leaves room for others. */
  readonly #share: number;
  readonly #underWay = new Map<string, number>();
  readonly #running = new Set<Promise<void>>();
  readonly #stop = new AbortController();
  #ticks: Timer | undefined;
  #taking: Promise<void> | undefined;
  #closed = false;

  constructor(deps: WebhookDispatcherDeps) {
    this.#deps = deps;
    const { timeoutMs, leaseMarginMs, maxAtOnce } = deps.settings;
    this.#leaseMs = timeoutMs + leaseMarginMs;
    this.#share = Math.max(1, Math.floor(maxAtOnce / 4));
  }

  start(): void {
    this.#ticks ??= this.#deps.clock.every(this.#deps.settings.tickMs, () => this.#take());
  }

  /** Begins no more, gives what is under way `graceMs`, then stops it: another gateway sends it again. */
  async close(graceMs: number): Promise<void> {
    this.#closed = true;
    this.#ticks?.cancel();
    if (graceMs === 0) this.#stop.abort();
    await this.#taking;
    const late = this.#deps.clock.after(graceMs, () => this.#stop.abort());
    await Promise.all(this.#running);
    late.cancel();
  }

  #take(): void {
    if (this.#closed) return;
    this.#taking ??= this.#takeAll()
      .catch((error: unknown) => this.#fault(error))
      .finally(() => {
        this.#taking = undefined;
      });
  }

  async #takeAll(): Promise<void> {
    const { store, settings, metrics } = this.#deps;
    for (;;) {
      const limit = settings.maxAtOnce - this.#running.size;
      if (this.#closed || limit <= 0) return;
      const lease = { token: randomUUID(), leaseMs: this.#leaseMs };
      const underWay = this.#underWay;
      const taken = await store.take({ ...lease, limit, share: this.#share, underWay });
      metrics.waiting.set(taken.waiting);
      if (taken.jobs.length === 0 && !taken.more) return;
      for (const { id, tenantId } of taken.jobs) this.#start(id, tenantId, lease);
    }
  }

  #start(id: string, tenantId: string, lease: WebhookLease): void {
    this.#underWay.set(tenantId, (this.#underWay.get(tenantId) ?? 0) + 1);
    const running = this.#tell(id, lease)
      .catch((error: unknown) => this.#fault(error))
      .finally(() => {
        this.#running.delete(running);
        const left = (this.#underWay.get(tenantId) ?? 1) - 1;
        if (left > 0) this.#underWay.set(tenantId, left);
        else this.#underWay.delete(tenantId);
        this.#take();
      });
    this.#running.add(running);
  }

  async #tell(id: string, lease: WebhookLease): Promise<void> {
    const { jobs, store, settings, view, metrics, log } = this.#deps;
    const job = await jobs.get(id);
    const url = job?.options.webhookUrl;
    if (!job || url === undefined) return await store.drop(id);
    const { maxAttempts } = settings;
    const body = JSON.stringify(webhookEvent(view(job)));
    const opening = await store.begin(id, lease, { body, maxAttempts });
    switch (opening.kind) {
      case 'gone':
      case 'acknowledged':
      case 'lost':
        return;
      case 'exhausted':
        // Nobody told of the last attempts, so they are in no log.
        metrics.attempts.labels('given_up').inc();
        log.warn({ event: 'webhook_given_up', job: id, fault: 'unknown' });
        return;
      case 'send':
        return await this.#send(job, url, lease, opening);
    }
  }

  async #send(
    job: JobRecord,
    url: string,
    lease: WebhookLease,
    { body, attempt }: { readonly body: string; readonly attempt: number },
  ): Promise<void> {
    const { clock, guard, settings, metrics } = this.#deps;
    const atMs = Math.floor(clock.wallNow());
    const secrets = settings.secrets.map((secret) => tenantSecret(secret, job.tenantId));
    const sent = await sendWebhook(guard, clock, {
      url,
      headers: {
        'content-type': 'application/json',
        'user-agent': 'voice-fleet',
        ...webhookHeaders(secrets, { id: webhookEventId(job.id), body, nowMs: atMs }),
      },
      body,
      timeoutMs: settings.timeoutMs,
      signal: this.#stop.signal,
    });
    metrics.attemptSeconds.observe(sent.ms / 1000);
    const outcome = await this.#settle(job.id, lease, attempt, { ...sent, atMs });
    if (outcome !== 'gone') metrics.attempts.labels(outcome).inc();
    this.#log(job.id, attempt, sent, outcome);
    await sent.over;
  }

  async #settle(
    id: string,
    { token, leaseMs }: WebhookLease,
    attempt: number,
    { answer, ms, atMs }: Sent & { readonly atMs: number },
  ): Promise<DeliveryOutcome | 'gone'> {
    const { clock, store, settings } = this.#deps;
    const end = endOf(answer);
    const { maxAgeMs, retryBaseMs, retryCapMs } = settings;
    const pauseMs = backoffMs(attempt - 1, retryBaseMs, retryCapMs);
    const askedMs = answer.kind === 'status' ? Math.min(answer.retryAfterMs, retryCapMs) : 0;
    const retryMs = end === 'stopped' ? 0 : Math.max(pauseMs, askedMs);
    const delivery = {
      atMs,
      ms,
      ...(answer.kind === 'status' ? { status: answer.status } : { fault: answer.fault }),
    };
    const untilMs = clock.now() + leaseMs;
    for (;;) {
      try {
        return await store.settle(id, token, end, { retryMs, maxAgeMs, delivery });
      } catch (error) {
        // Without its lease, another gateway sends it once more.
        if (this.#closed || clock.now() > untilMs) throw error;
        await sleep(clock, SETTLE_AGAIN_MS, this.#stop.signal);
      }
    }
  }

  #log(id: string, attempt: number, { answer, ms }: Sent, outcome: DeliveryOutcome | 'gone'): void {
    const level = outcome === 'given_up' ? 'warn' : 'info';
    const event = outcome === 'given_up' ? 'webhook_given_up' : 'webhook_attempt';
    const what = answer.kind === 'status' ? { status: answer.status } : { fault: answer.fault };
    this.#deps.log[level]({ event, job: id, attempt, outcome, ms, ...what });
  }

  #fault(error: unknown): void {
    this.#deps.log.warn({ event: 'webhook_fault', err: error });
  }
}

function endOf(answer: Answer): AttemptEnd {
  if (answer.kind === 'fault') return answer.fault === 'stopped' ? 'stopped' : 'failed';
  if (answer.status >= 200 && answer.status < 300) return 'acknowledged';
  // Gone: nobody wants to hear of it any more.
  return answer.status === 410 ? 'refused' : 'failed';
}
