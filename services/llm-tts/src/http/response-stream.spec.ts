import { once } from 'node:events';
import { createServer, request, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { FakeClock } from '@voice-fleet/testkit/fake-clock';
import { ResponseStream } from './response-stream.ts';

const STALL_MS = 30_000;
const MEGABYTE = 'x'.repeat(1 << 20);

describe('ResponseStream', () => {
  const server = createServer();
  const clock = new FakeClock();
  beforeEach(async () => {
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
  });
  afterEach(async () => {
    server.closeAllConnections();
    server.close();
    await once(server, 'close');
  });

  /** A stream that has begun, and the client that has read its head and nothing else. */
  async function begun() {
    const { port } = server.address() as AddressInfo;
    const asked = once(server, 'request');
    const client = request({ port, host: '127.0.0.1' }).on('error', () => undefined);
    client.end();
    const [, response] = (await asked) as [unknown, ServerResponse];
    const stream = new ResponseStream(response, { clock, stallMs: STALL_MS });
    const answered = once(client, 'response');
    stream.begin('text/plain');
    const [answer] = (await answered) as [NodeJS.ReadableStream & { complete: boolean }];
    answer.on('error', () => undefined);
    answer.pause();
    return { stream, client, answer };
  }

  /** Writes until the sockets are full; the write that waits. */
  function fill(stream: ResponseStream): Promise<string> {
    const filling = (async () => {
      for (;;) await stream.write(MEGABYTE);
    })();
    return filling.catch((error: Error) => error.message);
  }

  const waiting = async (): Promise<void> => {
    while (clock.pending === 0) await new Promise((resolve) => setImmediate(resolve));
  };

  it('waits for a client that does not read, and goes on when it does', async () => {
    const { stream, answer } = await begun();
    const outcome = fill(stream);
    await waiting();
    clock.advance(STALL_MS - 1);
    expect(stream.signal.aborted).toBe(false);
    const drained = once(stream.signal, 'abort');
    let taken = 0;
    answer.on('data', (part: Buffer) => {
      taken += part.length;
      if (taken > 20 << 20) stream.cut();
    });
    answer.resume();
    await drained;
    expect(await outcome).toBe('the client has gone');
    expect(clock.pending).toBe(0);
  });

  it('cuts off a client that takes nothing for too long', async () => {
    const { stream } = await begun();
    const outcome = fill(stream);
    await waiting();
    clock.advance(STALL_MS);
    expect(await outcome).toBe('the client has gone');
    expect([stream.signal.aborted, clock.pending]).toEqual([true, 0]);
  });

  it('tells when the client has gone, also while nothing is written', async () => {
    const { stream, client } = await begun();
    const gone = once(stream.signal, 'abort');
    client.destroy();
    await gone;
    await expect(stream.write('more')).rejects.toThrow('the client has gone');
  });

  it('that was ended whole has lost nobody', async () => {
    const { stream, answer } = await begun();
    await stream.write('all of it');
    stream.end();
    answer.resume();
    await once(answer, 'end');
    expect([answer.complete, stream.signal.aborted]).toEqual([true, false]);
  });
});
