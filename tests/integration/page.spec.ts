import { request } from 'node:http';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { PAGE_NAMES } from '@voice-fleet/gateway/http/page-files';
import { Fleet } from '../support/fleet.ts';
import { ScriptedEngine } from '../support/scripted-engine.ts';

const BROWSER = 'text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8';

describe('the page of a gateway (P52)', () => {
  let fleet: Fleet;
  let origin: string;

  beforeAll(async () => {
    fleet = await Fleet.start([new ScriptedEngine()]);
    origin = `http://127.0.0.1:${fleet.gateways[0]?.port}`;
  });
  afterAll(() => fleet[Symbol.asyncDispose]());

  const get = (path: string, headers: Record<string, string> = {}): Promise<Response> =>
    fetch(`${origin}${path}`, { headers });

  /** As it is written: fetch and browsers would tidy the path up. */
  function rawStatus(path: string): Promise<number | undefined> {
    return new Promise((resolve, reject) => {
      const asked = request({ port: fleet.gateways[0]?.port, host: '127.0.0.1', path });
      asked.on('response', (response) => resolve(response.resume().statusCode));
      asked.on('error', reject).end();
    });
  }

  it('is what a browser gets at /', async () => {
    const response = await get('/', { Accept: BROWSER });
    expect(response.status).toBe(200);
    expect(response.headers.get('Content-Type')).toBe('text/html; charset=utf-8');
    expect(response.headers.get('Vary')).toContain('Accept');
    expect(await response.text()).toContain('<title>Voice fleet</title>');
  });

  it.each(['*/*', 'application/json', 'application/json, text/html', ''])(
    'leaves its JSON to who accepts "%s" (Y1)',
    async (accept) => {
      const response = await get('/', { Accept: accept });
      expect(await response.json()).toEqual({ status: 'ok' });
      expect(response.headers.get('Vary')).toContain('Accept');
    },
  );

  it('comes while the fleet is still loading', async () => {
    await using empty = await Fleet.start([]);
    const url = `http://127.0.0.1:${empty.gateways[0]?.port}/`;
    expect((await fetch(url, { headers: { Accept: BROWSER } })).status).toBe(200);
    expect((await fetch(url)).status).toBe(503);
  });

  it.each(PAGE_NAMES)('has %s with its type, and lets it do only what it must', async (name) => {
    const response = await get(`/page/${name}`);
    expect(response.status).toBe(200);
    const body = await response.arrayBuffer();
    expect(response.headers.get('Content-Length')).toBe(String(body.byteLength));
    expect(response.headers.get('X-Content-Type-Options')).toBe('nosniff');
    const policy = response.headers.get('Content-Security-Policy');
    expect(policy).toContain("default-src 'none'");
    expect(policy).not.toMatch(/unsafe|\*|https?:|data:/);
  });

  it('is sent anew only when it changed', async () => {
    const first = await get('/page/main.js');
    const etag = first.headers.get('ETag') ?? '';
    expect(first.headers.get('Cache-Control')).toBe('no-cache');
    for (const known of [etag, `W/${etag}`, `"old", ${etag}`, '*']) {
      const again = await get('/page/main.js', { 'If-None-Match': known });
      expect([again.status, await again.text(), again.headers.get('ETag')]).toEqual([
        304,
        '',
        etag,
      ]);
    }
    expect((await get('/page/main.js', { 'If-None-Match': '"old"' })).status).toBe(200);
  });

  it.each([
    '/page/package.json',
    '/page/main.spec.js',
    '/page/../package.json',
    '/page/..%2fpackage.json',
    '/page/..%2f..%2fsrc%2fmain.ts',
    '/page/%2e%2e/package.json',
    '/page//etc/passwd',
    '/page/constructor',
    '/page/',
  ])('has nothing at %s', async (path) => {
    expect(await rawStatus(path)).toBe(404);
  });

  it('answers a broken escape as any path that is none', async () => {
    expect(await rawStatus('/page/%zz')).toBe(400);
  });
});
