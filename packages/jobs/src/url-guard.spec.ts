import { once } from 'node:events';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { text } from 'node:stream/consumers';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { guardedFetch, isPublicAddress, UrlGuard } from './url-guard.ts';

const never = new AbortController().signal;
const guardOf = (allow: readonly string[], ...addresses: readonly string[]) =>
  new UrlGuard({
    allow,
    resolve: async () => addresses.map((address) => ({ address })),
  });

describe('an address', () => {
  it.each([
    '127.0.0.1',
    '10.1.2.3',
    '169.254.169.254',
    '172.31.0.1',
    '192.168.0.1',
    '100.64.0.1',
    '0.0.0.0',
    '224.0.0.1',
    '255.255.255.255',
    '::1',
    '::',
    'fe80::1',
    'fd00::1',
    '::ffff:10.0.0.1',
    '::ffff:8.8.8.8',
    '64:ff9b::a00:1',
    '2002:a00:1::',
    '2001:db8::1',
    'ff02::1',
    'no address',
  ])('%s does not lead to the internet', (address) => {
    expect(isPublicAddress(address)).toBe(false);
  });

  it.each(['8.8.8.8', '172.32.0.1', '2606:4700::1111'])('%s does', (address) => {
    expect(isPublicAddress(address)).toBe(true);
  });
});

describe('the guard of URLs', () => {
  const allow = ['files.test', '*.cdn.test', 'odd.test:8443', '!in.test:8080'];

  it.each([
    'https://files.test/a',
    'https://FILES.test./a',
    'https://a.b.cdn.test/x',
    'https://odd.test:8443/',
  ])('lets %s through, with the address it found', async (url) => {
    await expect(guardOf(allow, '8.8.8.8').check(url)).resolves.toMatchObject({
      address: '8.8.8.8',
    });
  });

  it.each([
    'https://other.test/',
    'https://cdn.test/',
    'https://evilcdn.test/',
    'https://files.test.evil.test/',
    'https://files.test:8443/',
    'https://odd.test/',
    'http://files.test/',
    'ftp://files.test/',
    'file:///etc/passwd',
    'https://user:pw@files.test/',
    'https://files.test@evil.test/',
    'no url',
  ])('refuses %s', async (url) => {
    await expect(guardOf(allow, '8.8.8.8').check(url)).rejects.toMatchObject({
      code: 'url_refused',
    });
  });

  it('refuses a host with any address of a private network, unless it is marked', async () => {
    const refusal = { code: 'url_refused' };
    const mixed = guardOf(allow, '8.8.8.8', '10.0.0.1');
    await expect(mixed.check('https://files.test/')).rejects.toMatchObject(refusal);
    await expect(mixed.check('http://in.test:8080/')).resolves.toMatchObject({
      address: '8.8.8.8',
    });
  });

  it.each([
    'https://127.0.0.1/',
    'https://2130706433/',
    'https://0x7f.1/',
    'https://[::ffff:7f00:1]/',
  ])('refuses the address %s where any host is allowed', async (url) => {
    await expect(guardOf(['*'], '8.8.8.8').check(url)).rejects.toMatchObject({
      code: 'url_refused',
    });
  });

  it('refuses a host that is not found', async () => {
    await expect(guardOf(['*']).check('https://files.test/')).rejects.toMatchObject({
      code: 'url_refused',
    });
  });

  it('takes no rule that is none', () => {
    expect(() => guardOf(['https://files.test'])).toThrow(RangeError);
  });
});

describe('what a URL leads to', () => {
  let server: Server;
  let port: number;
  let guard: UrlGuard;
  beforeAll(async () => {
    server = createServer((request, response) => {
      const to = (location: string) => response.writeHead(302, { location }).end();
      if (request.url === '/a') response.end(`audio for ${request.headers.host}`);
      else if (request.url === '/hop') to('/a');
      else if (request.url === '/loop') to('/loop');
      else if (request.url === '/inside') to('http://169.254.169.254/latest');
      else if (request.url === '/other') to(`http://other.test:${port}/a`);
      else response.writeHead(404).end();
    });
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    port = (server.address() as AddressInfo).port;
    guard = guardOf([`!files.test:${port}`, `other.test:${port}`], '127.0.0.1');
  });
  afterAll(() => {
    server.closeAllConnections();
    server.close();
  });
  const get = (path: string) => guardedFetch(guard, `http://files.test:${port}${path}`, never);

  it('is read from the address that was looked at, redirects followed', async () => {
    expect(await text(await get('/hop'))).toBe(`audio for files.test:${port}`);
  });

  it.each([
    ['/inside', 'url_refused'],
    ['/other', 'url_refused'],
    ['/loop', 'url_failed'],
    ['/none', 'url_failed'],
  ])('%s is %s', async (path, code) => {
    await expect(get(path)).rejects.toMatchObject({ code });
  });

  it('is given up with its signal', async () => {
    const over = guardedFetch(guard, `http://files.test:${port}/a`, AbortSignal.abort());
    await expect(over).rejects.toMatchObject({ code: 'url_failed' });
  });
});
