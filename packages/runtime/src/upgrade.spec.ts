import { once } from 'node:events';
import { createServer, type Server } from 'node:http';
import { type AddressInfo, connect, type Socket } from 'node:net';
import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { WebSocket, WebSocketServer } from 'ws';
import { acceptPaths, routeUpgrades, type UpgradeRefusal } from './upgrade.ts';

describe('routeUpgrades', () => {
  let http: Server;
  let sockets: WebSocketServer;
  let client: Socket;

  beforeEach(async () => {
    http = createServer((request, response) => {
      response.end(`${request.method} ${request.url}`);
    });
    sockets = new WebSocketServer({ noServer: true });
    sockets.on('connection', (socket) => socket.close(1000));
    routeUpgrades(
      http,
      sockets,
      acceptPaths((path) => path === '/talk'),
    );
    await once(http.listen(0, '127.0.0.1'), 'listening');
  });
  afterEach(async () => {
    client?.destroy();
    sockets.close();
    // Settles only when no socket is left.
    await new Promise((resolve) => http.close(resolve));
  });

  const port = (): number => (http.address() as AddressInfo).port;

  /** Everything the server sends until it closes; this side closes nothing. */
  async function exchange(...lines: string[]): Promise<string> {
    client = connect({ port: port(), host: '127.0.0.1', allowHalfOpen: true });
    client.write(`${lines.join('\r\n')}\r\nHost: x\r\n\r\n`);
    let text = '';
    client.setEncoding('utf8').on('data', (chunk: string) => {
      text += chunk;
    });
    await once(client, 'end');
    return text;
  }

  const H2C = ['Connection: Upgrade, HTTP2-Settings', 'Upgrade: h2c', 'HTTP2-Settings: AAMAAABk'];

  it('answers an offer of HTTP/2 as an ordinary request, and closes', async () => {
    const answer = await exchange('GET /health HTTP/1.1', ...H2C);
    expect(answer).toMatch(/^HTTP\/1\.1 200 OK\r\n/);
    expect(answer).toMatch(/\r\nConnection: close\r\n/i);
    expect(answer).toMatch(/GET \/health/);
    const connections = new Promise((resolve) => http.getConnections((_, count) => resolve(count)));
    expect(await connections).toBe(0);
  });

  it('answers such a HEAD without a body', async () => {
    const answer = await exchange('HEAD /health HTTP/1.1', ...H2C);
    expect(answer).toMatch(/^HTTP\/1\.1 200 OK\r\n/);
    expect(answer).toMatch(/\r\n\r\n$/);
  });

  it('survives a client that is gone before the answer', async () => {
    const answered = new Promise<void>((resolve) => {
      http.removeAllListeners('request').on('request', (request, response) => {
        client.resetAndDestroy();
        request.socket.once('close', () => {
          response.end('late');
          resolve();
        });
      });
    });
    client = connect(port(), '127.0.0.1');
    client.on('error', () => {});
    client.write(`GET /health HTTP/1.1\r\n${H2C.join('\r\n')}\r\nHost: x\r\n\r\n`);
    await answered;
  });

  it('gives a 404 to a WebSocket at another path', async () => {
    const handshake = ['Connection: Upgrade', 'Upgrade: websocket', 'Sec-WebSocket-Version: 13'];
    const answer = await exchange('GET /walk HTTP/1.1', ...handshake);
    expect(answer).toMatch(/^HTTP\/1\.1 404 Not Found\r\n/);
    expect(answer).toContain('no WebSocket endpoint at /walk');
  });

  it('hands a WebSocket at its path over', async () => {
    const socket = new WebSocket(`ws://127.0.0.1:${port()}/talk`);
    const [code] = await once(socket, 'close');
    expect(code).toBe(1000);
  });
});

describe('routeUpgrades with a check that takes its time', () => {
  const HANDSHAKE = [
    'GET /talk HTTP/1.1',
    'Host: x',
    'Connection: Upgrade',
    'Upgrade: websocket',
    'Sec-WebSocket-Version: 13',
    'Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==',
  ];
  /** A masked text frame that says "hi". */
  const HI = Buffer.from([0x81, 0x82, 0, 0, 0, 0, 0x68, 0x69]);

  let http: Server;
  let sockets: WebSocketServer;
  let client: Socket;
  let answer: string;
  let asked: {
    readonly socket: Socket;
    readonly signal: AbortSignal;
    readonly settle: (refusal: UpgradeRefusal | undefined) => void;
  };
  let heard: string[];

  beforeEach(async () => {
    http = createServer();
    sockets = new WebSocketServer({ noServer: true });
    heard = [];
    sockets.on('connection', (socket) =>
      socket.on('message', (data: Buffer) => {
        heard.push(data.toString());
        socket.terminate();
      }),
    );
    const checked = new Promise<void>((resolve) => {
      routeUpgrades(http, sockets, ({ socket }, signal) => {
        resolve();
        return new Promise((settle) => {
          asked = { socket, signal, settle };
        });
      });
    });
    await once(http.listen(0, '127.0.0.1'), 'listening');
    client = connect((http.address() as AddressInfo).port, '127.0.0.1');
    answer = '';
    client.setEncoding('utf8').on('data', (chunk: string) => {
      answer += chunk;
    });
    client.on('error', () => {});
    client.write(`${HANDSHAKE.join('\r\n')}\r\n\r\n`);
    await checked;
  });
  afterEach(async () => {
    client.destroy();
    sockets.close();
    await new Promise((resolve) => http.close(resolve));
  });

  it('answers nothing before it is settled, then opens the socket with all that came meanwhile', async () => {
    for (const part of [HI.subarray(0, 3), HI.subarray(3)]) {
      const readBefore = asked.socket.bytesRead;
      client.write(part);
      while (asked.socket.bytesRead === readBefore)
        await new Promise((resolve) => setImmediate(resolve));
    }
    expect(answer).toBe('');
    asked.settle(undefined);
    await once(client, 'close');
    expect(answer).toMatch(/^HTTP\/1\.1 101 /);
    expect(heard).toEqual(['hi']);
  });

  it('answers a refusal with its status, headers and body', async () => {
    asked.settle({ status: 503, headers: { 'Retry-After': '7' }, body: { error: 'later' } });
    await once(client, 'close');
    expect(answer).toMatch(/^HTTP\/1\.1 503 Service Unavailable\r\n/);
    expect(answer).toMatch(/\r\nRetry-After: 7\r\n/);
    expect(answer).toMatch(/\r\n\r\n\{"error":"later"\}$/);
  });

  it.each([
    ['ends', () => client.end()],
    ['resets', () => client.resetAndDestroy()],
    ['sends 64 KiB and more before it is answered', () => client.write(Buffer.alloc(70_000))],
  ])('tells the check of a client that %s, and lets go of its socket', async (_, leave) => {
    const aborted = once(asked.signal, 'abort');
    const closed = once(client, 'close');
    leave();
    await aborted;
    await closed;
    asked.settle(undefined);
    const left = new Promise((resolve) => http.getConnections((_, count) => resolve(count)));
    expect(await left).toBe(0);
    expect([answer, sockets.clients.size]).toEqual(['', 0]);
  });
});
