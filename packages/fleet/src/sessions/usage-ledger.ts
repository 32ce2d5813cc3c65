import type { Redis } from 'ioredis';
import { z } from 'zod';
import { redisFault } from '../redis.ts';
import type { Charge, UsageRow } from '../session-record.ts';
import { chargedKey, usageKey } from './session-keys.ts';
import { SessionScripts } from './session-scripts.ts';
import { dayName, dayNumber } from './utc-day.ts';

/** Days that totals are kept after their own. */
export const USAGE_DAYS = 400;

/** A charge is about 5 µs of Redis, so a chunk holds up others for about a millisecond. */
const CHARGES_PER_CALL = 200;

const ChargeReply = z.tuple([z.literal('booked')], z.int());

export interface Booking {
  /** YYYY-MM-DD in UTC, by the clock of Redis. */
  readonly day: string;
  /** Audio of the whole tenant on that day; after a charge with it included. */
  readonly samplesToday: number;
}

export interface Days {
  /** YYYY-MM-DD, both included. */
  readonly fromDay: string;
  readonly toDay: string;
}

/**
 * Audio used, to the sample. What is booked of a session is the highest of all offsets charged, whoever charges how often and in
 * which order. Every method may throw `RedisUnavailable`; then charge the same again.
 */
export class UsageLedger {
  readonly #redis: Redis;
  readonly #scripts: SessionScripts;

  constructor(redis: Redis) {
    this.#redis = redis;
    this.#scripts = new SessionScripts(redis);
  }

  /** Answers in the order of the charges. When it throws, some of them may be booked. */
  async charge(charges: readonly Charge[]): Promise<Booking[]> {
    const calls: Promise<Booking[]>[] = [];
    for (let from = 0; from < charges.length; from += CHARGES_PER_CALL)
      calls.push(this.#charge(charges.slice(from, from + CHARGES_PER_CALL)));
    return (await Promise.all(calls)).flat();
  }

  /** What is booked of a tenant today. */
  async today(tenantId: string): Promise<Booking> {
    const { day, reply } = await this.#scripts.runToday(
      'total',
      (today) => [usageKey(tenantId, dayName(today))],
      [],
    );
    return { day: dayName(day), samplesToday: z.int().parse(reply) };
  }

  /** Rows by day, then key; none for a day or key without audio. At most `USAGE_DAYS` days, else a `RangeError`. */
  async usage(tenantId: string, { fromDay, toDay }: Days): Promise<UsageRow[]> {
    const days = daysBetween(fromDay, toDay);
    const pipeline = this.#redis.pipeline();
    for (const day of days) pipeline.hgetall(usageKey(tenantId, day));
    const replies = await pipeline.exec().catch((error: unknown) => {
      throw redisFault(error);
    });
    return days.flatMap((day, index) => {
      const [error, fields] = replies?.[index] ?? [new Error('no reply'), undefined];
      if (error !== null) throw redisFault(error);
      return rowsOf(day, z.record(z.string(), z.coerce.number().int()).parse(fields));
    });
  }

  async #charge(charges: readonly Charge[]): Promise<Booking[]> {
    const { day, reply } = await this.#scripts.runToday(
      'charge',
      (today) => {
        const name = dayName(today);
        return charges.flatMap(({ sessionId, tenantId }) => [
          chargedKey(sessionId),
          usageKey(tenantId, name),
        ]);
      },
      charges.flatMap(({ keyId, acceptedSamples }) => [keyId, acceptedSamples]),
    );
    const [, ...samples] = ChargeReply.parse(reply);
    const name = dayName(day);
    return samples.map((samplesToday) => ({ day: name, samplesToday }));
  }
}

function daysBetween(fromDay: string, toDay: string): string[] {
  const from = dayNumber(fromDay);
  const to = dayNumber(toDay);
  if (from === undefined || to === undefined) throw new RangeError('days are YYYY-MM-DD');
  if (to - from >= USAGE_DAYS) throw new RangeError(`at most ${USAGE_DAYS} days at once`);
  return Array.from({ length: Math.max(0, to - from + 1) }, (_, index) => dayName(from + index));
}

const SAMPLES = 'samples:';

function rowsOf(day: string, fields: Readonly<Record<string, number>>): UsageRow[] {
  return Object.keys(fields)
    .filter((field) => field.startsWith(SAMPLES))
    .sort()
    .map((field) => {
      const keyId = field.slice(SAMPLES.length);
      return {
        day,
        keyId,
        samples: fields[field] ?? 0,
        sessions: fields[`sessions:${keyId}`] ?? 0,
      };
    });
}
