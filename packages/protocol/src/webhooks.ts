import { z } from 'zod';
import { JobView } from './jobs.ts';

export const WEBHOOK_SECRETS_PATH = '/v1/webhooks/secrets';

/** What a webhook tells. A job ends once, so it has one event, whose id is made from its own. */
export const WebhookEvent = z.object({
  id: z.string(),
  type: z.enum(['job.completed', 'job.failed', 'job.cancelled', 'job.quarantined']),
  /** When the job ended. */
  created_at: z.iso.datetime(),
  data: JobView,
});
export type WebhookEvent = z.infer<typeof WebhookEvent>;

/**
 * `repeated`: another attempt was acknowledged before; `lost`: another gateway had taken over by then. `given_up`: there is no other
 * attempt unless somebody asks for one.
 */
export const DELIVERY_OUTCOMES = [
  'acknowledged',
  'repeated',
  'retried',
  'given_up',
  'lost',
] as const;
export const DeliveryOutcome = z.enum(DELIVERY_OUTCOMES);
export type DeliveryOutcome = z.infer<typeof DeliveryOutcome>;

/** The webhook of a job, and what became of it. Times are Unix ms. */
export const WebhookView = z.object({
  object: z.literal('webhook'),
  /** Of the event: `webhook-id` of each attempt. */
  id: z.string(),
  job: z.string(),
  url: z.string(),
  /** `waiting` also while the job is not over. */
  state: z.enum(['waiting', 'acknowledged', 'given_up']),
  attempts: z.int().nonnegative(),
  acknowledged_at_ms: z.int().nullable(),
  next_attempt_at_ms: z.int().nullable(),
  /** The last ones, the newest at the end. */
  deliveries: z.array(
    z.object({
      at_ms: z.int(),
      /** Until the status was there, or the fault. */
      ms: z.int(),
      status: z.int().nullable(),
      /** What went wrong when there was no status: a word, or the code of a system error. */
      fault: z.string().nullable(),
      outcome: DeliveryOutcome,
    }),
  ),
});
export type WebhookView = z.infer<typeof WebhookView>;

/** The newest first; each webhook is signed with all of them. */
export const WebhookSecrets = z.object({ object: z.literal('list'), data: z.array(z.string()) });
export type WebhookSecrets = z.infer<typeof WebhookSecrets>;
