import { JOBS_PATH } from '@voice-fleet/protocol/jobs';
import { WEBHOOK_SECRETS_PATH, WebhookSecrets, WebhookView } from '@voice-fleet/protocol/webhooks';
import { JOB_ID } from './job-operations.ts';
import { json, type Operation, ok } from './operation.ts';

const webhook: WebhookView = {
  object: 'webhook',
  id: `evt_${JOB_ID.example}`,
  job: String(JOB_ID.example),
  url: 'https://example.com/told?token=7',
  state: 'waiting',
  attempts: 1,
  acknowledged_at_ms: null,
  next_attempt_at_ms: 1_795_910_408_000,
  deliveries: [{ at_ms: 1_795_910_400_000, ms: 31, status: 503, fault: null, outcome: 'retried' }],
};
const webhookJson = json('Webhook', WebhookView, webhook);
const tag = 'Batch jobs';

export const WEBHOOK_OPERATIONS: readonly Operation[] = [
  {
    method: 'get',
    path: `${JOBS_PATH}/{id}/webhook`,
    tag,
    summary: 'The webhook of a job, and each attempt to send it',
    key: 'jobs',
    parameters: [JOB_ID],
    answers: [ok('The webhook.', webhookJson)],
    refusals: [404, 503],
  },
  {
    method: 'post',
    path: `${JOBS_PATH}/{id}/webhook/redeliver`,
    tag,
    summary: 'Send a webhook that was given up once more',
    description: 'The event has the same id and body as before.',
    key: 'jobs',
    parameters: [JOB_ID],
    answers: [
      { status: 202, description: 'The webhook, which is sent next.', content: [webhookJson] },
    ],
    refusals: [404, 409, 503],
  },
  {
    method: 'get',
    path: WEBHOOK_SECRETS_PATH,
    tag,
    summary: 'What the webhooks of your tenant are signed with',
    description: 'The newest first. While one takes the place of another, both sign.',
    key: 'tokens',
    answers: [
      ok(
        'The secrets; none where there are no webhooks.',
        json('WebhookSecrets', WebhookSecrets, {
          object: 'list',
          data: ['whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw'],
        }),
      ),
    ],
  },
];
