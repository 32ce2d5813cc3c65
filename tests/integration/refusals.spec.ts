import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { OPERATIONS } from '@voice-fleet/gateway/openapi/operations';
import { range } from '@voice-fleet/testkit/coded-speech';
import { Fleet, KEY } from '../support/fleet.ts';
import { form, wav } from '../support/recordings.ts';
import {
  type ErrorStyle,
  type Expected,
  expectRefusal,
  type Refused,
  refusedRequest,
  refusedUpgrade,
} from '../support/refusals.ts';
import { ScriptedEngine } from '../support/scripted-engine.ts';
import { until } from '../support/until.ts';

const ADMIN = 'operators-only';
const MAX_BYTES = 100_000;

/** An endpoint, and a request to it that would be served. */
interface Route {
  readonly method: string;
  readonly path: string;
  readonly style: ErrorStyle;
  readonly body?: (recording: Buffer) => FormData | string;
}

/** Paths whose errors are those of other services. */
const STYLES: readonly (readonly [RegExp, ErrorStyle])[] = [
  [/^\/v1\/(?:audio\/(?:transcriptions|translations|speech)|chat|models|realtime)\b/, 'openai'],
  [/^\/v\d\/listen\b/, 'deepgram'],
];
const styleOf = (path: string): ErrorStyle =>
  STYLES.find(([pattern]) => pattern.test(path))?.[1] ?? 'own';

/** Every endpoint of the gateway that wants a key, as its own document has it. */
const KEYED: readonly Route[] = OPERATIONS.filter(({ key }) => key !== 'none').map(
  ({ method, path, body = [] }) => {
    const [content] = body;
    const filled = path.replace(/\{\w+\}/g, 'a');
    const route = { method: method.toUpperCase(), path: filled, style: styleOf(path) };
    if (content === undefined) return route;
    if (content.type !== 'application/json') return { ...route, body: form };
    return { ...route, body: () => JSON.stringify(content.example) };
  },
);

/** Endpoints that take a slot of the fleet, so that the limits of sessions hold for them. */
const RECORDINGS = KEYED.filter(({ path }) =>
  ['/transcribe', '/api/voice', '/v1/audio/transcriptions', '/v1/listen'].includes(path),
);

/** Dialects whose clients are refused before their upgrade, by path; those of others hear of it on their open socket. */
const UPGRADES: readonly { readonly path: string; readonly style: ErrorStyle }[] = [
  { path: '/v1/realtime?intent=transcription', style: 'openai' },
  { path: '/v1/listen?encoding=linear16', style: 'deepgram' },
  { path: '/v2/listen?encoding=linear16', style: 'deepgram' },
  { path: '/v1/audio/transcriptions/realtime', style: 'openai' },
];

const WRONG_KEY: Expected = {
  status: 401,
  code: { own: 'authentication_failed', openai: 'invalid_api_key', deepgram: 'INVALID_AUTH' },
};

describe('a refusal has the status, the body and the headers that clients know', () => {
  let fleet: Fleet;
  const keys: Record<'crowded' | 'spent' | 'narrow', string> = {
    crowded: '',
    spent: '',
    narrow: '',
  };
  const recording = wav(range(1, 3));

  const url = (path: string, scheme = 'http'): string =>
    `${scheme}://127.0.0.1:${fleet.gateways[0]?.port}${path}`;

  function ask(
    { method, path, body }: Route,
    key: string | undefined,
    sound = recording,
  ): Promise<Refused> {
    const content = body?.(sound);
    const headers = {
      ...(key !== undefined && { Authorization: `Bearer ${key}` }),
      ...(typeof content === 'string' && { 'Content-Type': 'application/json' }),
    };
    return refusedRequest(url(path), {
      method,
      headers,
      ...(content !== undefined && { body: content }),
    });
  }

  async function admin(path: string, body: object): Promise<Record<string, unknown>> {
    const answer = await refusedRequest(url(`/admin/v1${path}`), {
      method: 'POST',
      headers: { 'X-API-Key': ADMIN },
      body: JSON.stringify(body),
    });
    expect(answer.status).toBeLessThan(300);
    return answer.body as Record<string, unknown>;
  }

  async function tenant(id: keyof typeof keys, limits: object, scopes: string[]): Promise<void> {
    await admin('/tenants', { id, limits });
    const { secret } = await admin(`/tenants/${id}/keys`, { scopes });
    keys[id] = String(secret);
  }

  beforeAll(async () => {
    fleet = await Fleet.start([new ScriptedEngine({ slots: 2 })], {
      ADMIN_API_KEY: ADMIN,
      HTTP_RECORDING_MAX_BYTES: String(MAX_BYTES),
      HTTP_RECORDING_MAX_S: '2',
    });
    await tenant('crowded', { max_sessions: 1 }, ['stream']);
    await tenant('spent', { audio_minutes_per_day: 0.001 }, ['stream']);
    await tenant('narrow', {}, ['tokens']);
  });
  afterAll(() => fleet[Symbol.asyncDispose]());

  it('at every endpoint that takes recordings', () => {
    expect(RECORDINGS).toHaveLength(4);
  });

  it.each(KEYED)('$method $path without a key, and with a wrong one', async (route) => {
    expectRefusal(await ask(route, undefined), route.style, WRONG_KEY);
    expectRefusal(await ask(route, 'wrong'), route.style, WRONG_KEY);
  });

  it('and so have upgrades without a key, and with a wrong one', async () => {
    for (const { path, style } of UPGRADES) {
      expectRefusal(await refusedUpgrade(url(path, 'ws'), {}), style, WRONG_KEY);
      const headers = { Authorization: 'Bearer wrong' };
      expectRefusal(await refusedUpgrade(url(path, 'ws'), headers), style, WRONG_KEY);
    }
  });

  it.each(RECORDINGS)('$path with a key that may do something else', async (route) => {
    const code = { own: 'scope_missing', openai: 'insufficient_permissions' };
    expectRefusal(await ask(route, keys.narrow), route.style, { status: 403, code });
  });

  it.each(RECORDINGS)('$path with a recording that is too large, or too long', async (route) => {
    const code = { own: 'message_too_large', openai: 'message_too_large' };
    const large = await ask(route, KEY, Buffer.alloc(MAX_BYTES + 1));
    const long = await ask(route, KEY, wav(range(1, 6)));
    expectRefusal(large, route.style, { status: 413, code });
    expectRefusal(long, route.style, { status: 413, code });
  });

  it.each(RECORDINGS)('$path with a recording that cannot be decoded', async (route) => {
    const code = { own: 'invalid_audio', openai: 'invalid_audio' };
    const refused = await ask(route, KEY, Buffer.from('this is no recording'));
    expectRefusal(refused, route.style, { status: 400, code });
    expect(JSON.stringify(refused.body)).toContain('none of WAV');
  });

  it.each(RECORDINGS)('$path for a tenant whose day is used up', async (route) => {
    // Booked a moment after it was heard.
    await until(async () => (await ask(route, keys.spent)).status === 429, 'it is used up');
    const code = { own: 'audio_quota_exhausted', openai: 'insufficient_quota' };
    const expected = { status: 429, code, pointless: true };
    expectRefusal(await ask(route, keys.spent), route.style, expected);
  });

  it('/v1/audio/transcriptions with a model that is not served, or a format that there is none of', async () => {
    const path = '/v1/audio/transcriptions';
    const wrong = async (field: string, value: string): Promise<Refused> => {
      const body = form(recording);
      body.append(field, value);
      return refusedRequest(url(path), {
        method: 'POST',
        headers: { Authorization: `Bearer ${KEY}` },
        body,
      });
    };
    const model = await wrong('model', 'no/such-model');
    expectRefusal(model, 'openai', { status: 404, code: { openai: 'model_not_found' } });
    expect(model.body).toHaveProperty('error.param', 'model');
    const format = await wrong('response_format', 'docx');
    expectRefusal(format, 'openai', { status: 400, code: { openai: 'invalid_message' } });
    expect(format.body).toHaveProperty('error.param', 'response_format');
  });

  it('and so have upgrades that name a model which is not served', async () => {
    const headers = { Authorization: `Bearer ${KEY}` };
    const code = { openai: 'model_not_found', deepgram: 'Bad Request' };
    for (const { path, style } of UPGRADES) {
      const query = `${path.includes('?') ? '&' : '?'}model=no%2Fsuch-model`;
      const refused = await refusedUpgrade(url(path + query, 'ws'), headers);
      expectRefusal(refused, style, { status: 404, code });
    }
  });

  it('and so have those of a tenant that has as many sessions as it may', async () => {
    const one = fleet.dial({ query: `?api_key=${keys.crowded}` });
    await one.next('session.created');
    const code = { own: 'too_many_sessions', openai: 'rate_limit_exceeded' };
    const expected: Expected = { status: 429, code, passes: true };
    for (const route of RECORDINGS) {
      const refused = await ask(route, keys.crowded);
      expectRefusal(refused, route.style, expected);
      expect(refused.headers).toMatchObject({
        'x-ratelimit-limit-requests': '1',
        'x-ratelimit-remaining-requests': '0',
        'x-ratelimit-reset-requests': expect.stringMatching(/^\d+(?:ms|s|m\d+s)$/),
      });
    }
    const headers = { Authorization: `Bearer ${keys.crowded}` };
    for (const { path, style } of UPGRADES)
      expectRefusal(await refusedUpgrade(url(path, 'ws'), headers), style, expected);
    one.terminate();
  });

  it('and so have those of a fleet without a free slot', async () => {
    const taken = [await fleet.client(), await fleet.client()];
    const code = { own: 'at_capacity', openai: 'at_capacity' };
    const expected: Expected = { status: 503, code, passes: true };
    for (const route of RECORDINGS) expectRefusal(await ask(route, KEY), route.style, expected);
    const headers = { Authorization: `Bearer ${KEY}` };
    for (const { path, style } of UPGRADES)
      expectRefusal(await refusedUpgrade(url(path, 'ws'), headers), style, expected);
    for (const client of taken) client.terminate();
  });

  it('and so have those of paths that are not there', async () => {
    const headers = { Authorization: `Bearer ${KEY}` };
    const nowhere = await refusedRequest(url('/v1/nowhere'), { headers });
    expectRefusal(nowhere, 'own', { status: 404, code: { own: 'not_found' } });
    expectRefusal(await refusedUpgrade(url('/v1/nowhere', 'ws'), headers), 'own', {
      status: 404,
      code: { own: 'not_found' },
    });
  });

  it('and so have requests of a method that a path does not take', async () => {
    const code = {
      own: 'method_not_allowed',
      openai: 'method_not_allowed',
      deepgram: 'Bad Request',
    };
    const seen = new Set<ErrorStyle>();
    for (const { method, path, style } of KEYED) {
      seen.add(style);
      const refused = await refusedRequest(url(path), { method: 'PUT' });
      expectRefusal(refused, style, { status: 405, code });
      expect(refused.headers['allow']?.split(', ')).toContain(method);
    }
    expect([...seen].sort()).toEqual(['deepgram', 'openai', 'own']);
    const mint = url('/v1/realtime/client_secrets');
    const refused = await refusedRequest(mint, { method: 'GET' });
    expectRefusal(refused, 'openai', { status: 405, code });
    expect(refused.headers['allow']).toBe('POST');
  });

  it('and every answer has a name of its own', async () => {
    const ids = await Promise.all(
      ['/health', '/healthz', '/readyz', '/api/stream_config', '/', '/nowhere'].map(async (path) =>
        (await fetch(url(path))).headers.get('x-request-id'),
      ),
    );
    expect(ids.every((id) => id !== null && id.length >= 8)).toBe(true);
    expect(new Set(ids).size).toBe(ids.length);
  });
});
