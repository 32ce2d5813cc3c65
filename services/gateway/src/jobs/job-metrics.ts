import { Counter, Gauge, type Registry } from 'prom-client';
import { WebhookMetrics } from '../webhooks/webhook-metrics.ts';
import { SWEPT } from './job-sweeper.ts';

export const SUBMIT_OUTCOMES = ['created', 'same', 'refused'] as const;

/** Metrics of batch jobs in a gateway; those of the work itself are the workers'. */
export class JobMetrics {
  readonly submitted: Counter<'outcome'>;
  readonly webhooks: WebhookMetrics;
  readonly swept: Counter<'what'>;
  /** Asked for when the page is. */
  waitingNow: () => Promise<number> = async () => 0;

  constructor(registers: Registry[]) {
    this.submitted = new Counter({
      name: 'voice_gateway_jobs_submitted_total',
      help: 'Requests for a batch job: a new one, one that an earlier request had made, or none.',
      labelNames: ['outcome'],
      registers,
    });
    for (const outcome of SUBMIT_OUTCOMES) this.submitted.labels(outcome).inc(0);
    this.webhooks = new WebhookMetrics(registers);
    this.swept = new Counter({
      name: 'voice_gateway_jobs_swept_total',
      help: 'What was removed as it was kept long enough: recordings and records of jobs, and recordings of which no job was made.',
      labelNames: ['what'],
      registers,
    });
    for (const what of SWEPT) this.swept.labels(what).inc(0);
    const waiting: Gauge = new Gauge({
      name: 'voice_gateway_jobs_waiting',
      help: 'Batch jobs of the whole fleet that wait for an idle slot. Each gateway tells the same.',
      registers,
      collect: async () => {
        // A page without this number is better than none while Redis is away.
        await this.waitingNow().then(
          (jobs) => waiting.set(jobs),
          () => waiting.remove(),
        );
      },
    });
  }
}
