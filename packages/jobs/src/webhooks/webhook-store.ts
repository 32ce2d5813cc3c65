import { redisFault } from '@voice-fleet/fleet/redis';
import { DELIVERY_OUTCOMES, DeliveryOutcome } from '@voice-fleet/protocol/webhooks';
import type { Redis } from 'ioredis';
import { z } from 'zod';
import {
  DUE_TENANTS_KEY,
  deliveriesKey,
  dueKey,
  eventKey,
  recordKey,
  TELLING_KEY,
  UNTOLD_KEY,
} from '../keys.ts';
import { JobScripts } from '../scripts.ts';

/** Attempts of one webhook that are remembered. */
export const DELIVERIES_KEPT = 50;

/** A lease of some webhooks. */
export interface WebhookLease {
  /** Of this lease alone. */
  readonly token: string;
  readonly leaseMs: number;
}

export interface TakeOptions extends WebhookLease {
  readonly limit: number;
  /** Of one tenant that one gateway may have under way. */
  readonly share: number;
  /** Tenant → how many this gateway has under way. */
  readonly underWay: ReadonlyMap<string, number>;
}

export interface Taken {
  readonly jobs: readonly { readonly id: string; readonly tenantId: string }[];
  /** Webhooks of the whole fleet that are not sent yet, those under way included. */
  readonly waiting: number;
  /** More are due than were looked at in this step, which has a bound. */
  readonly more: boolean;
}

/** `lost`: the lease ended; `exhausted`: it was tried as often as it may, and is given up now. */
export type Opening =
  | { readonly kind: 'send'; readonly body: string; readonly attempt: number }
  | { readonly kind: 'gone' | 'acknowledged' | 'lost' | 'exhausted' };

/** What an attempt came to. `refused`: for ever; `stopped`: by the gateway itself, so it does not count. */
export type AttemptEnd = 'acknowledged' | 'failed' | 'refused' | 'stopped';

/** An attempt as it is remembered. */
export const Delivery = z.object({
  atMs: z.number(),
  /** Until the status was there, or the fault. */
  ms: z.number(),
  status: z.int().optional(),
  /** What went wrong when there was no status: a word, or the code of a system error. */
  fault: z.string().optional(),
});
export type Delivery = z.infer<typeof Delivery>;

export interface WebhookState {
  /** `waiting` also while the job is not over. */
  readonly state: 'waiting' | 'acknowledged' | 'given_up';
  readonly attempts: number;
  readonly acknowledgedAtMs?: number;
  /** When it is due next; absent while it is under way, or in line. */
  readonly dueAtMs?: number;
  readonly deliveries: readonly (Delivery & { readonly outcome: DeliveryOutcome })[];
}

const TakeReply = z.tuple([z.int(), z.int()]).rest(z.string());
const BeginReply = z.union([
  z.tuple([z.literal('send'), z.string(), z.int()]),
  z.tuple([z.enum(['gone', 'acknowledged', 'lost', 'exhausted'])]),
]);
const SettleReply = z.enum([...DELIVERY_OUTCOMES, 'gone']);
const RedeliverReply = z.enum(['asked', 'acknowledged', 'waiting']);

/**
 * Webhooks of jobs that are over, and what became of them. A job has one webhook, named by the job's id. Every method may throw
 * `RedisUnavailable`.
 */
export class WebhookStore {
  readonly #redis: Redis;
  readonly #scripts: JobScripts;

  constructor(redis: Redis) {
    this.#redis = redis;
    this.#scripts = new JobScripts(redis);
  }

  /** Takes some that are due. Time is that of Redis. */
  async take({ token, leaseMs, limit, share, underWay }: TakeOptions): Promise<Taken> {
    const keys = [UNTOLD_KEY, DUE_TENANTS_KEY, TELLING_KEY];
    const busy = JSON.stringify(Object.fromEntries(underWay));
    const names = [recordKey(''), eventKey(''), dueKey('')];
    const args = [...names, token, leaseMs, limit, share, busy];
    const reply = await this.#scripts.run('webhook-take', keys, args);
    const [waiting, more, ...pairs] = TakeReply.parse(reply);
    const jobs: { id: string; tenantId: string }[] = [];
    for (let at = 0; at + 1 < pairs.length; at += 2)
      jobs.push({ id: pairs[at] as string, tenantId: pairs[at + 1] as string });
    return { jobs, waiting, more: more === 1 };
  }

  /** Right before each attempt. What is to be sent is the body of the first one; `body` if this is it. */
  async begin(
    id: string,
    { token, leaseMs }: WebhookLease,
    { body, maxAttempts }: { readonly body: string; readonly maxAttempts: number },
  ): Promise<Opening> {
    const keys = [recordKey(id), eventKey(id), TELLING_KEY];
    const args = [id, token, leaseMs, body, maxAttempts];
    const [kind, ...sent] = BeginReply.parse(await this.#scripts.run('webhook-begin', keys, args));
    if (kind !== 'send') return { kind };
    const [kept = '', attempt = 0] = sent;
    return { kind, body: kept, attempt };
  }

  /** `retryMs`: until the next attempt, if there is one; `maxAgeMs`: after the first one, no other follows. */
  async settle(
    id: string,
    token: string,
    end: AttemptEnd,
    how: { readonly retryMs: number; readonly maxAgeMs: number; readonly delivery: Delivery },
  ): Promise<DeliveryOutcome | 'gone'> {
    const keys = [eventKey(id), deliveriesKey(id), UNTOLD_KEY, TELLING_KEY];
    const { retryMs, maxAgeMs, delivery } = how;
    const entry = JSON.stringify(Delivery.parse(delivery));
    const args = [id, token, end, Math.round(retryMs), maxAgeMs, entry, DELIVERIES_KEPT];
    return SettleReply.parse(await this.#scripts.run('webhook-settle', keys, args));
  }

  /** Asks for one more attempt of a webhook that was given up. */
  async redeliver(id: string): Promise<'asked' | 'acknowledged' | 'waiting'> {
    const keys = [eventKey(id), UNTOLD_KEY];
    return RedeliverReply.parse(await this.#scripts.run('webhook-redeliver', keys, [id]));
  }

  async state(id: string): Promise<WebhookState> {
    const asked = Promise.all([
      this.#redis.hmget(eventKey(id), 'attempts', 'acknowledged', 'given_up'),
      this.#redis.zscore(UNTOLD_KEY, id),
      this.#redis.lrange(deliveriesKey(id), 0, -1),
    ]);
    const [[attempts, acknowledged, givenUp], due, lines] = await this.#asked(asked);
    let state: WebhookState['state'] = 'waiting';
    if (acknowledged) state = 'acknowledged';
    else if (givenUp) state = 'given_up';
    return {
      state,
      attempts: Number(attempts ?? 0),
      ...(acknowledged && { acknowledgedAtMs: Number(acknowledged) }),
      ...(due && { dueAtMs: Number(due) }),
      deliveries: lines.map(parseLine),
    };
  }

  /** There is nobody to tell. */
  async drop(id: string): Promise<void> {
    await this.#asked(this.#redis.multi().zrem(UNTOLD_KEY, id).zrem(TELLING_KEY, id).exec());
  }

  async #asked<T>(asked: Promise<T>): Promise<T> {
    try {
      return await asked;
    } catch (error) {
      throw redisFault(error);
    }
  }
}

/** `outcome {json}`, as webhook-settle.lua writes it. */
function parseLine(line: string): WebhookState['deliveries'][number] {
  const gap = line.indexOf(' ');
  const delivery = Delivery.parse(JSON.parse(line.slice(gap + 1)));
  return { ...delivery, outcome: DeliveryOutcome.parse(line.slice(0, gap)) };
}
