import 'reflect-metadata';
import type { AddressInfo } from 'node:net';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from '@jest/globals';
import { type INestApplication, Module } from '@nestjs/common';
import { NestFactory } from '@nestjs/core';
import { UsageLedger } from '@voice-fleet/fleet/sessions/usage-ledger';
import { dayName, dayNumber } from '@voice-fleet/fleet/sessions/utc-day';
import { type Principal, TenantLimits } from '@voice-fleet/fleet/tenant';
import { ErrorFilter } from '@voice-fleet/gateway/http/error.filter';
import {
  type UsageAnswer,
  UsageController,
  UsageSource,
} from '@voice-fleet/gateway/http/usage.controller';
import { VoiceError } from '@voice-fleet/protocol/errors';
import { SAMPLE_RATE } from '@voice-fleet/speech/pcm';
import { redis } from '../support/pool.ts';
import { newSession } from './session-store.fixture.ts';

let app: INestApplication;
let url: string;
let tenantId: string;
/** Who asked, with which scope. */
let asked: string[];

async function authenticate(credential: string, scope: string): Promise<Principal> {
  asked.push(`${credential} ${scope}`);
  if (credential === 'no-scope') throw new VoiceError('scope_missing', { details: { scope } });
  if (credential !== 'good') throw new VoiceError('authentication_failed');
  return { tenantId, keyId: 'k', scopes: ['usage'], limits: TenantLimits.parse({}) };
}

beforeAll(async () => {
  const source: UsageSource = {
    authenticate,
    ledger: { usage: (...args) => new UsageLedger(redis).usage(...args) },
    wallNow: Date.now,
  };
  @Module({
    controllers: [UsageController],
    providers: [{ provide: UsageSource, useValue: source }],
  })
  class UsageModule {}
  app = await NestFactory.create(UsageModule, { logger: false });
  app.useGlobalFilters(new ErrorFilter({ error: () => undefined }));
  await app.listen(0, '127.0.0.1');
  url = `http://127.0.0.1:${(app.getHttpServer().address() as AddressInfo).port}/v1/usage`;
});
afterAll(() => app.close());
beforeEach(() => {
  ({ tenantId } = newSession());
  asked = [];
});

async function get(
  query = '',
  headers: Record<string, string> = { 'X-API-Key': 'good' },
): Promise<{ status: number; body: unknown }> {
  const response = await fetch(`${url}${query}`, { headers });
  return { status: response.status, body: await response.json() };
}

describe('GET /v1/usage', () => {
  it('answers the tenant of the key with its audio by day and key', async () => {
    const ledger = new UsageLedger(redis);
    const charge = (keyId: string, acceptedSamples: number): Promise<unknown> =>
      ledger.charge([{ ...newSession({ tenantId, keyId }), acceptedSamples }]);
    await charge('k1', 1.5 * SAMPLE_RATE);
    await charge('k1', SAMPLE_RATE);
    await charge('k2', 8);
    await ledger.charge([{ ...newSession(), acceptedSamples: 99 }]);
    const { day } = await ledger.today(tenantId);
    const { status, body } = await get(`?from=${day}&to=${day}`);
    expect(status).toBe(200);
    expect(body).toEqual({
      tenant: tenantId,
      from: day,
      to: day,
      audio_seconds: 2.5005,
      rows: [
        { day, key_id: 'k1', audio_seconds: 2.5, audio_samples: 40_000, sessions: 2 },
        { day, key_id: 'k2', audio_seconds: 0.0005, audio_samples: 8, sessions: 1 },
      ],
    });
    expect(asked).toEqual(['good usage']);
  });

  it('answers the last 30 days when it is told none', async () => {
    const { status, body } = await get();
    const { from, to, rows, audio_seconds: seconds } = body as UsageAnswer;
    expect([status, rows, seconds]).toEqual([200, [], 0]);
    expect((dayNumber(to) ?? 0) - (dayNumber(from) ?? 0)).toBe(29);
    expect(to).toBe(dayName(Math.floor(Date.now() / 86_400_000)));
    expect((await get('?to=2026-01-30')).body).toMatchObject({ from: '2026-01-01' });
  });

  it.each([
    ['?from=yesterday', 'from must be one day as YYYY-MM-DD.'],
    ['?to=2026-02-29', 'to must be one day as YYYY-MM-DD.'],
    ['?from=', 'from must be one day as YYYY-MM-DD.'],
    ['?from=2026-01-01&from=2026-01-02', 'from must be one day as YYYY-MM-DD.'],
    ['?from=2026-01-02&to=2026-01-01', 'from must not be after to.'],
    ['?from=2025-01-01&to=2026-02-05', 'from and to may span 400 days at most.'],
  ])('refuses %s and says why', async (query, message) => {
    const { status, body } = await get(query);
    expect(status).toBe(400);
    expect(body).toMatchObject({ error: { code: 'invalid_message', message } });
  });

  it('takes 400 days', async () => {
    expect((await get('?from=2025-01-01&to=2026-02-04')).status).toBe(200);
  });

  it.each([
    [{}, 401, 'authentication_failed'],
    [{ 'X-API-Key': 'bad' }, 401, 'authentication_failed'],
    [{ Authorization: 'Bearer no-scope' }, 403, 'scope_missing'],
  ])('refuses %j before it looks at the days', async (headers, expected, code) => {
    const { status, body } = await get('?from=x', headers as Record<string, string>);
    expect([status, body]).toEqual([expected, { error: expect.objectContaining({ code }) }]);
  });

  it('takes the key as a bearer token, too', async () => {
    expect((await get('', { Authorization: 'Bearer good' })).status).toBe(200);
  });
});
