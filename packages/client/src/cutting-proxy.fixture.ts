import { type AddressInfo, connect, createServer, type Server, type Socket } from 'node:net';

/** Where a connection breaks: behind so many bytes of that side. */
export interface Cut {
  readonly side: 'client' | 'server';
  readonly bytes: number;
}

/**
 * A TCP proxy to `target`. Each connection takes the next cut: bytes are passed on until that side has sent so many; then the
 * connection is gone, in the midst of whatever it was. Without a cut left, a connection lasts.
 */
export async function startCuttingProxy(
  target: URL,
  cuts: Cut[],
): Promise<{ url: URL; stop: () => Promise<void> }> {
  const sockets = new Set<Socket>();
  const proxy: Server = createServer((client) => {
    const cut = cuts.shift();
    const server = connect(Number(target.port), target.hostname);
    const end = (): void => {
      client.destroy();
      server.destroy();
    };
    const pass = (side: Cut['side'], from: Socket, to: Socket): void => {
      let left = cut?.side === side ? cut.bytes : Number.POSITIVE_INFINITY;
      sockets.add(from);
      from.on('error', end);
      from.on('close', end);
      from.on('data', (data) => {
        to.write(data.subarray(0, left));
        left -= data.length;
        if (left > 0) return;
        // What was passed on arrives before the end does.
        to.end();
        from.destroy();
      });
    };
    pass('client', client, server);
    pass('server', server, client);
  });
  await new Promise<void>((resolve) => proxy.listen(0, '127.0.0.1', resolve));
  const { port } = proxy.address() as AddressInfo;
  const url = new URL(target);
  url.port = String(port);
  const stop = async (): Promise<void> => {
    for (const socket of sockets) socket.destroy();
    await new Promise((resolve) => proxy.close(resolve));
  };
  return { url, stop };
}
