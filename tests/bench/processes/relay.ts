import type { AddressInfo } from 'node:net';
import { type RawData, WebSocket, WebSocketServer } from 'ws';
import { fail, serveParent, tell } from './parent.ts';

/** The yardstick: the least a relay on `ws` can do. One upstream socket for each client, no look at what they say. */
function startRelay(upstream: string): void {
  const server = new WebSocketServer({ host: '127.0.0.1', port: 0, perMessageDeflate: false });
  server.on('connection', (client, request) => {
    const onward = new WebSocket(`${upstream}${request.url}`, { perMessageDeflate: false });
    client.pause();
    onward.on('open', () => client.resume());
    pass(client, onward);
    pass(onward, client);
  });
  server.on('listening', () =>
    tell({ kind: 'ready', port: (server.address() as AddressInfo).port }),
  );
  serveParent(() => ({ kind: 'reset' }));
}

function pass(from: WebSocket, to: WebSocket): void {
  from.on('message', (data: RawData, isBinary: boolean) =>
    to.send(data as Buffer, { binary: isBinary }),
  );
  from.on('close', () => to.terminate());
  from.on('error', () => to.terminate());
}

const [upstream] = process.argv.slice(2);
if (upstream === undefined) fail('relay.ts needs the address of its upstream');
else startRelay(upstream);
