import { integerVar, numberVar, textVar } from '@voice-fleet/runtime/env';
import type { z } from 'zod';
import type { WebhookSettings } from './webhook-dispatcher.ts';

/** Variables of webhooks. */
export const webhookEnv = {
  JOBS_WEBHOOK_ALLOW: textVar({
    default: '*',
    doc: 'Hosts that webhooks may be sent to, written as in JOBS_URL_ALLOW.',
  }),
  JOBS_WEBHOOK_SECRET: textVar({
    default: '',
    secret: true,
    // Keys that are guessed in an afternoon sign nothing.
    pattern: /^[^\s,]{16,}(?:\s*,\s*[^\s,]{16,})*$/,
    doc: 'What webhooks are signed with: random text of 16 characters or more, or several, separated by commas, each of which signs. Each tenant has secrets of its own, derived from these. Empty: there are no webhooks.',
  }),
  JOBS_WEBHOOK_TIMEOUT_S: numberVar({
    default: 15,
    min: 0.1,
    max: 300,
    doc: 'A webhook must have been answered within this time.',
  }),
  JOBS_WEBHOOK_ATTEMPTS: integerVar({
    default: 16,
    min: 1,
    max: 100,
    doc: 'A webhook is sent so often at the most, first after 5 to 10 s, then twice as long each time, up to 4 h.',
  }),
  JOBS_WEBHOOK_HOURS: numberVar({
    default: 24,
    min: 0,
    max: 720,
    doc: 'A webhook that failed so long after its first attempt is given up.',
  }),
  JOBS_WEBHOOKS_MAX: integerVar({
    default: 32,
    min: 1,
    max: 1000,
    doc: 'Webhooks that this gateway sends at a time; of one tenant, a quarter of them.',
  }),
};

type WebhookEnv = {
  readonly [Name in keyof typeof webhookEnv]: z.infer<(typeof webhookEnv)[Name]>;
};

const RETRY_BASE_MS = 10_000;
const RETRY_CAP_MS = 14_400_000;
const TICK_MS = 1_000;
const LEASE_MARGIN_MS = 15_000;

/** `allow`: rules of URLs, none when there are no webhooks. */
export function webhookSettings(env: WebhookEnv): WebhookSettings & {
  readonly allow: readonly string[];
} {
  const secrets = listOf(env.JOBS_WEBHOOK_SECRET);
  return {
    secrets,
    allow: secrets.length === 0 ? [] : listOf(env.JOBS_WEBHOOK_ALLOW),
    timeoutMs: env.JOBS_WEBHOOK_TIMEOUT_S * 1000,
    maxAttempts: env.JOBS_WEBHOOK_ATTEMPTS,
    maxAgeMs: env.JOBS_WEBHOOK_HOURS * 3_600_000,
    maxAtOnce: env.JOBS_WEBHOOKS_MAX,
    retryBaseMs: RETRY_BASE_MS,
    retryCapMs: RETRY_CAP_MS,
    tickMs: TICK_MS,
    leaseMarginMs: LEASE_MARGIN_MS,
  };
}

/** What is between the commas. */
export function listOf(text: string): readonly string[] {
  return text
    .split(',')
    .map((item) => item.trim())
    .filter((item) => item !== '');
}
