import { once } from 'node:events';
import { connect } from 'node:net';
import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { Counter, Registry } from 'prom-client';
import { type InternalServer, type Readiness, startInternalServer } from './internal-server.ts';

describe('the internal server', () => {
  let readiness: () => Promise<Readiness> | Readiness;
  let registry: Registry;
  let server: InternalServer;
  let open: boolean;

  beforeEach(async () => {
    registry = new Registry();
    readiness = () => ({ ready: true });
    const settings = { port: 0, host: '127.0.0.1', registry, readiness: () => readiness() };
    server = await startInternalServer(settings);
    open = true;
  });
  afterEach(async () => {
    if (open) await server.close();
  });

  const get = (path: string): Promise<Response> => fetch(`http://127.0.0.1:${server.port}${path}`);

  it('gives the metrics in the format of Prometheus', async () => {
    new Counter({ name: 'words_total', help: 'Words.', registers: [registry] }).inc(3);
    const response = await get('/metrics');
    expect(response.status).toBe(200);
    expect(response.headers.get('content-type')).toMatch(/^text\/plain; version=0\.0\.4/);
    expect(await response.text()).toMatch(/^words_total 3$/m);
  });

  it('is live while it runs, ready or not', async () => {
    readiness = () => ({ ready: false });
    const response = await get('/livez');
    expect([response.status, await response.json()]).toEqual([200, { status: 'ok' }]);
  });

  it.each([
    [200, { ready: true, slots: 3 }],
    [503, { ready: false, reason: 'loading' }],
  ])('answers /readyz with %d and the facts', async (status, facts) => {
    readiness = async () => facts;
    const response = await get('/readyz');
    expect([response.status, await response.json()]).toEqual([status, facts]);
  });

  it('answers 500 when readiness cannot be told', async () => {
    readiness = () => Promise.reject(new Error('no idea'));
    const response = await get('/readyz');
    expect([response.status, await response.json()]).toEqual([500, { error: 'Error: no idea' }]);
  });

  it('answers 404 to anything else, naming its paths', async () => {
    const response = await get('/admin');
    expect(response.status).toBe(404);
    expect(await response.text()).toContain('/metrics');
  });

  it('does not mind a query', async () => {
    expect((await get('/metrics?x=1')).status).toBe(200);
  });

  it('answers HEAD without a body', async () => {
    const response = await fetch(`http://127.0.0.1:${server.port}/readyz`, { method: 'HEAD' });
    expect([response.status, await response.text()]).toEqual([200, '']);
  });

  it('rejects when its port is taken', async () => {
    const settings = { port: server.port, host: '127.0.0.1', registry, readiness };
    await expect(startInternalServer(settings)).rejects.toThrow('EADDRINUSE');
  });

  it('closes although a client keeps its connection open', async () => {
    const client = connect(server.port, '127.0.0.1');
    await once(client, 'connect');
    client.write('GET /livez HTTP/1.1\r\nHost: x\r\n\r\n');
    await once(client, 'data');
    const ended = once(client, 'close');
    open = false;
    await server.close();
    await ended;
  });

  it('closes although a client never sends a request', async () => {
    const client = connect(server.port, '127.0.0.1');
    await once(client, 'connect');
    // Answered on a connection made later: the server has taken the silent one by now.
    await get('/livez');
    const ended = once(client, 'close');
    open = false;
    await server.close();
    await ended;
  });
});
