import { createServer, type Server } from 'node:http';
import { type AddressInfo, connect, type Socket } from 'node:net';
import { text } from 'node:stream/consumers';
import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { FakeClock } from '@voice-fleet/testkit/fake-clock';
import { boundRequests } from './request-time.ts';

const WHOLE_MS = 30_000;

let clock: FakeClock;
let server: Server;
/** Settles when a request has come, with what its handler saw of its body. */
let handled: Promise<string>;
let answerEarly = false;

beforeEach(async () => {
  clock = new FakeClock();
  server = createServer();
  server.on('request', boundRequests(clock, WHOLE_MS));
  handled = new Promise((resolve) => {
    server.on('request', (request, response) => {
      if (answerEarly) {
        response.end('early');
        return resolve('not read');
      }
      let body = '';
      request.on('data', (piece: Buffer) => {
        body += piece.toString();
      });
      request.once('end', () => response.end(body));
      request.once('error', () => undefined);
      resolve(request.headers['content-type'] ?? '');
    });
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
});
afterEach(() => {
  answerEarly = false;
  server.closeAllConnections();
  server.close();
});

function send(type: string, body: string): { socket: Socket; answer: Promise<string> } {
  const socket = connect((server.address() as AddressInfo).port, '127.0.0.1');
  socket.write(
    `POST / HTTP/1.1\r\nHost: x\r\nContent-Type: ${type}\r\nContent-Length: 6\r\n\r\n${body}`,
  );
  return { socket, answer: text(socket) };
}

describe('boundRequests', () => {
  it('answers 408 to a body that does not come, and closes', async () => {
    const { answer } = send('application/json', 'abc');
    await handled;
    clock.advance(WHOLE_MS - 1);
    clock.advance(1);
    expect(await answer).toMatch(/^HTTP\/1\.1 408 Request Timeout\r\n/);
  });

  it.each(['multipart/form-data; boundary=b', 'audio/wav', 'application/octet-stream'])(
    'lets %s take longer',
    async (type) => {
      const { socket, answer } = send(type, 'abc');
      await handled;
      clock.advance(10 * WHOLE_MS);
      socket.end('def');
      expect(await answer).toMatch(/abcdef$/);
    },
  );

  it('closes a connection that goes on sending after its answer', async () => {
    answerEarly = true;
    const { answer, socket } = send('audio/wav', 'abc');
    await handled;
    await new Promise((resolve) => socket.once('readable', resolve));
    clock.advance(5_000);
    expect(await answer).toMatch(/early$/);
  });

  it('leaves a connection alone whose requests are whole', async () => {
    const { socket, answer } = send('application/json', 'abcdef');
    await handled;
    await new Promise((resolve) => socket.once('readable', resolve));
    expect(clock.pending).toBe(0);
    clock.advance(WHOLE_MS);
    socket.end();
    expect(await answer).toMatch(/^HTTP\/1\.1 200 /);
  });
});
