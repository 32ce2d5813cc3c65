import { once } from 'node:events';
import { createServer, type ServerResponse } from 'node:http';
import { type AddressInfo, connect } from 'node:net';
import { describe, expect, it } from '@jest/globals';
import { closeWithConnection } from './pipelined.ts';

const REQUEST = 'POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 0\r\n\r\n';

describe('closeWithConnection', () => {
  it('closes all responses of a connection that is lost, once each', async () => {
    const closes: number[] = [];
    const responses: ServerResponse[] = [];
    const server = createServer().prependListener('request', closeWithConnection);
    let onClosed = (): void => undefined;
    const closed = new Promise<void>((resolve) => {
      onClosed = resolve;
    });
    const came = new Promise<void>((resolve) => {
      server.on('request', (_request, response: ServerResponse) => {
        const at = responses.push(response) - 1;
        response.on('close', () => {
          closes.push(at);
          if (closes.length === 4) onClosed();
        });
        response.on('error', () => undefined);
        if (responses.length === 4) resolve();
      });
    });
    await once(server.listen(0, '127.0.0.1'), 'listening');
    const client = connect((server.address() as AddressInfo).port, '127.0.0.1');
    client.write(REQUEST.repeat(4));
    await came;
    // The second has its turn now, the others have not.
    await new Promise<void>((resolve) => responses[0]?.end('one', resolve));
    client.destroy();
    await closed;
    await new Promise((resolve) => server.close(resolve));
    await new Promise((resolve) => setImmediate(resolve));
    expect(closes.sort()).toEqual([0, 1, 2, 3]);
    expect(responses[3]?.destroyed).toBe(true);
  });
});
