import { once } from 'node:events';
import { createServer, request as httpRequest, type Server } from 'node:http';
import { type AddressInfo, connect } from 'node:net';
import { gzipSync } from 'node:zlib';
import { afterEach, describe, expect, it } from '@jest/globals';
import { systemClock } from '@voice-fleet/runtime/clock';
import { closeWithConnection } from '@voice-fleet/runtime/pipelined';
import { relay } from './relay.ts';

const servers: Server[] = [];
afterEach(() => {
  for (const server of servers.splice(0)) server.close().closeAllConnections();
});

async function listening(server: Server): Promise<URL> {
  servers.push(server.listen(0, '127.0.0.1'));
  await once(server, 'listening');
  return new URL(`http://127.0.0.1:${(server.address() as AddressInfo).port}/`);
}

describe('relay', () => {
  it('carries nothing for a client that went while its key was looked at', async () => {
    let asked = 0;
    const upstream = await listening(
      createServer((_request, response) => {
        asked += 1;
        response.end('a long answer');
      }),
    );
    let onRelayed: (relayed: Promise<void>) => void;
    const relayed = new Promise<void>((resolve) => {
      onRelayed = resolve;
    });
    const gateway = await listening(
      createServer((request, response) => {
        response.once('close', () => {
          const settings = { url: upstream, clock: systemClock, dialTimeoutMs: 1_000 };
          onRelayed(relay(request, response, { ...settings, maxBodyBytes: 1_000 }));
        });
        client.destroy();
      }),
    );
    const client = httpRequest(gateway, { method: 'POST' }).on('error', () => undefined);
    client.end('a whole body');
    await relayed;
    expect(asked).toBe(0);
  });

  it('carries nothing for a client that went before its turn on the connection came', async () => {
    let asked = 0;
    const upstream = await listening(
      createServer((_request, response) => {
        asked += 1;
        response.end();
      }),
    );
    let onRelayed: (relayed: Promise<void>) => void;
    const relayed = new Promise<void>((resolve) => {
      onRelayed = resolve;
    });
    let requests = 0;
    const gateway = await listening(
      createServer((request, response) => {
        requests += 1;
        if (requests === 1) return;
        response.once('close', () => {
          const settings = { url: upstream, clock: systemClock, dialTimeoutMs: 1_000 };
          onRelayed(relay(request, response, { ...settings, maxBodyBytes: 1_000 }));
        });
        client.destroy();
      }).prependListener('request', closeWithConnection),
    );
    const client = connect(Number(gateway.port), '127.0.0.1');
    client.write('GET / HTTP/1.1\r\nhost: a\r\n\r\n'.repeat(2));
    await relayed;
    expect(asked).toBe(0);
  });

  it('says of a packed body that it is packed', async () => {
    const packing: (string | undefined)[] = [];
    const upstream = await listening(
      createServer((request, response) => {
        packing.push(request.headers['content-encoding']);
        request.resume().once('end', () => response.end('read'));
      }),
    );
    const gateway = await listening(
      createServer((request, response) => {
        const settings = { url: upstream, clock: systemClock, dialTimeoutMs: 10_000 };
        void relay(request, response, { ...settings, maxBodyBytes: 1_000 });
      }),
    );
    const answer = await fetch(gateway, {
      method: 'POST',
      headers: { 'Content-Encoding': 'gzip' },
      body: gzipSync('{}'),
    });
    expect(await answer.text()).toBe('read');
    expect(packing).toEqual(['gzip']);
  });
});
