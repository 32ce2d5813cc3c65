import type { IncomingHttpHeaders } from 'node:http';
import { Controller, Get, Header, Headers, Inject, Query } from '@nestjs/common';
import { type Days, USAGE_DAYS, type UsageLedger } from '@voice-fleet/fleet/sessions/usage-ledger';
import { dayName, dayNumber } from '@voice-fleet/fleet/sessions/utc-day';
import type { Principal, Scope } from '@voice-fleet/fleet/tenant';
import { VoiceError } from '@voice-fleet/protocol/errors';
import { SAMPLE_RATE } from '@voice-fleet/speech/pcm';
import { credentialOf } from '../auth/credentials.ts';

/** Finds out who a key belongs to; throws VoiceError for one that may not do what `scope` names. */
export type Authenticate = (credential: string, scope: Scope) => Promise<Principal>;

/** What the page of a tenant's usage is made from. A class, so that Nest can hand it over by type. */
export abstract class UsageSource {
  abstract readonly authenticate: Authenticate;
  abstract readonly ledger: Pick<UsageLedger, 'usage'>;
  /** Milliseconds since the Unix epoch. */
  abstract readonly wallNow: () => number;
}

/** Answered for one tenant: that of the key. A type, not an interface, so that it can be answered as plain JSON. */
export type UsageAnswer = {
  tenant: string;
  /** YYYY-MM-DD in UTC, both included. */
  from: string;
  to: string;
  audio_seconds: number;
  rows: {
    day: string;
    key_id: string;
    audio_seconds: number;
    audio_samples: number;
    sessions: number;
  }[];
};

/** What is answered without `from`: so many days, the last of them `to`. */
const DEFAULT_DAYS = 30;
const DAY_MS = 86_400_000;

@Controller('/v1/usage')
export class UsageController {
  readonly #source: UsageSource;

  constructor(@Inject(UsageSource) source: UsageSource) {
    this.#source = source;
  }

  @Get()
  @Header('Cache-Control', 'no-store')
  async usage(
    @Headers() headers: IncomingHttpHeaders,
    @Query('from') from: unknown,
    @Query('to') to: unknown,
  ): Promise<UsageAnswer> {
    const { authenticate, ledger, wallNow } = this.#source;
    const { tenantId } = await authenticate(credentialOf(headers), 'usage');
    const days = daysOf(from, to, Math.floor(wallNow() / DAY_MS));
    const rows = await ledger.usage(tenantId, days);
    const samples = rows.reduce((sum, row) => sum + row.samples, 0);
    return {
      tenant: tenantId,
      from: days.fromDay,
      to: days.toDay,
      audio_seconds: samples / SAMPLE_RATE,
      rows: rows.map((row) => ({
        day: row.day,
        key_id: row.keyId,
        audio_seconds: row.samples / SAMPLE_RATE,
        audio_samples: row.samples,
        sessions: row.sessions,
      })),
    };
  }
}

function daysOf(from: unknown, to: unknown, today: number): Days {
  const toDay = to === undefined ? today : parseDay('to', to);
  const fromDay = from === undefined ? toDay - DEFAULT_DAYS + 1 : parseDay('from', from);
  if (fromDay > toDay) throw badDays('from', 'from must not be after to.');
  if (toDay - fromDay >= USAGE_DAYS)
    throw badDays('from', `from and to may span ${USAGE_DAYS} days at most.`);
  return { fromDay: dayName(fromDay), toDay: dayName(toDay) };
}

function parseDay(parameter: 'from' | 'to', value: unknown): number {
  const day = typeof value === 'string' ? dayNumber(value) : undefined;
  if (day === undefined || day < 0)
    throw badDays(parameter, `${parameter} must be one day as YYYY-MM-DD.`);
  return day;
}

function badDays(parameter: 'from' | 'to', message: string): VoiceError {
  return new VoiceError('invalid_message', { message, details: { parameter } });
}
