import { DELIVERY_OUTCOMES } from '@voice-fleet/protocol/webhooks';
import { Counter, Gauge, Histogram, type Registry } from 'prom-client';

/** Metrics of the webhooks that this gateway sends. */
export class WebhookMetrics {
  readonly attempts: Counter<'outcome'>;
  readonly attemptSeconds: Histogram;
  readonly waiting: Gauge;

  constructor(registers: Registry[]) {
    this.attempts = new Counter<'outcome'>({
      name: 'voice_gateway_webhook_attempts_total',
      help: 'Attempts to send a webhook by what came of them. repeated: acknowledged once more than needed; lost: another gateway had taken over.',
      labelNames: ['outcome'],
      registers,
    });
    this.attemptSeconds = new Histogram({
      name: 'voice_gateway_webhook_attempt_duration_seconds',
      help: 'From the begin of an attempt to send a webhook until its status was there, or it had failed.',
      buckets: [0.01, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 15, 30, 60],
      registers,
    });
    this.waiting = new Gauge({
      name: 'voice_gateway_webhooks_waiting',
      help: 'Webhooks of the whole fleet that are not sent yet, or are to be sent again, when this gateway last looked. Each gateway tells the same.',
      registers,
    });
    for (const outcome of DELIVERY_OUTCOMES) this.attempts.labels(outcome).inc(0);
  }
}
