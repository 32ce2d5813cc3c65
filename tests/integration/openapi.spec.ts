import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { ErrorBody, refusalBody } from '@voice-fleet/gateway/openapi/document';
import type { Operation } from '@voice-fleet/gateway/openapi/operation';
import { OPERATIONS } from '@voice-fleet/gateway/openapi/operations';
import { Fleet } from '../support/fleet.ts';

const ADMIN = 'admin-key';
let fleet: Fleet;
let base: string;

beforeAll(async () => {
  fleet = await Fleet.start([]);
  const gateway = await fleet.addGateway({ ADMIN_API_KEY: ADMIN });
  base = `http://127.0.0.1:${gateway.port}`;
});
afterAll(() => fleet[Symbol.asyncDispose]());

function urlOf(
  { path, parameters = [] }: Operation,
  ids: Readonly<Record<string, string>>,
): string {
  const named = parameters.filter((one) => one.in === 'path');
  const filled = named.reduce(
    (url, { name, example }) =>
      url.replace(`{${name}}`, encodeURIComponent(ids[name] ?? String(example))),
    path,
  );
  return `${base}${filled}`;
}

function ask(operation: Operation, key?: string, ids = {}, withBody = true): Promise<Response> {
  const content = operation.body?.find(({ type }) => type === 'application/json');
  return fetch(urlOf(operation, ids), {
    method: operation.method.toUpperCase(),
    headers: {
      ...(key !== undefined && { authorization: `Bearer ${key}` }),
      ...(content && { 'content-type': 'application/json' }),
    },
    ...(content && withBody && { body: JSON.stringify(content.example) }),
  });
}

/** The operation, asked for as its example has it; its answer, which must be as the document says. */
async function told(name: string, key: string, ids = {}): Promise<Record<string, unknown>> {
  const [method, path] = name.split(' ');
  const operation = OPERATIONS.find((one) => one.method === method && one.path === path);
  if (!operation) throw new Error(`there is no ${name}`);
  const response = await ask(operation, key, ids);
  const body = (await response.json()) as Record<string, unknown>;
  const answer = operation.answers.find(({ status }) => status === response.status);
  const schema = answer?.content?.find(({ type }) => type === 'application/json')?.schema;
  if (!schema) throw new Error(`${name} answered ${response.status} ${JSON.stringify(body)}`);
  expect([name, schema.safeParse(body).error?.issues]).toEqual([name, undefined]);
  return body;
}

describe('the OpenAPI document of a running gateway', () => {
  it('is served, with a page to read that loads nothing from elsewhere', async () => {
    const json = await fetch(`${base}/openapi.json`);
    expect([json.status, json.headers.get('content-type')]).toEqual([
      200,
      'application/json; charset=utf-8',
    ]);
    expect(await json.json()).toMatchObject({ openapi: '3.1.1', paths: { '/healthz': {} } });
    const etag = json.headers.get('etag') ?? '';
    const again = await fetch(`${base}/openapi.json`, { headers: { 'if-none-match': etag } });
    expect(again.status).toBe(304);
    const page = await fetch(`${base}/docs`);
    expect(page.headers.get('content-security-policy')).toContain("default-src 'none'");
    const html = await page.text();
    for (const [, path = ''] of html.matchAll(/(?:href|src)="(\/[^"]*)"/g))
      expect([path, (await fetch(base + path)).status]).toEqual([path, 200]);
  });

  it('names every answer that one without a key gets, in the form that it says', async () => {
    const faults: string[] = [];
    for (const operation of OPERATIONS) {
      const response = await ask(operation, undefined, {}, false);
      const text = await response.text();
      const { answers, refusals = [], key, method, path } = operation;
      const known = [...answers.map(({ status }) => status), ...refusals];
      if (key !== 'none') known.push(401, 403);
      const where = `${method} ${path} ${response.status}`;
      if (!known.includes(response.status)) faults.push(where);
      if (response.ok || response.status === 503) continue;
      const body: unknown = JSON.parse(text);
      const told = [refusalBody(operation).schema, ErrorBody];
      if (!told.some((schema) => schema.safeParse(body).success)) faults.push(`${where} ${text}`);
    }
    expect(faults).toEqual([]);
  });

  it('is kept by tenants, keys, tokens and usage, each asked for by its example', async () => {
    await told('post /admin/v1/tenants', ADMIN);
    await told('get /admin/v1/tenants', ADMIN);
    await told('get /admin/v1/tenants/{id}', ADMIN);
    await told('patch /admin/v1/tenants/{id}', ADMIN);
    const made = await told('post /admin/v1/tenants/{id}/keys', ADMIN);
    const { id } = made['key'] as { id: string };
    await told('get /admin/v1/tenants/{id}/keys', ADMIN);
    await told('post /admin/v1/keys/{id}/rotate', ADMIN, { id });
    await told('delete /admin/v1/keys/{id}', ADMIN, { id });
    const all = await fetch(`${base}/admin/v1/tenants/acme/keys`, {
      method: 'POST',
      headers: { authorization: `Bearer ${ADMIN}`, 'content-type': 'application/json' },
      body: JSON.stringify({ scopes: ['tokens', 'usage', 'stream'] }),
    });
    const { secret } = (await all.json()) as { secret: string };
    await told('post /v1/tokens', secret);
    await told('get /v1/usage', secret);
    await told('get /api/stream_config', '');
    await told('delete /admin/v1/tenants/{id}', ADMIN);
  });
});
