import type { IncomingMessage, Server } from 'node:http';
import type { Duplex } from 'node:stream';
import type { WebSocketServer } from 'ws';

/** Path of a request without its query, which may hold a key. */
export function requestPath(request: IncomingMessage): string {
  const url = request.url ?? '/';
  const end = url.indexOf('?');
  return end < 0 ? url : url.slice(0, end);
}

/** Answers an upgrade with plain HTTP and closes its socket. */
export function refuseUpgrade(socket: Duplex, status: string, message: string): void {
  const body = JSON.stringify({ error: message });
  socket.once('finish', () => socket.destroy());
  socket.end(
    `HTTP/1.1 ${status}\r\nConnection: close\r\nContent-Type: application/json\r\nContent-Length: ${Buffer.byteLength(body)}\r\n\r\n${body}`,
  );
}

/**
 * Hands the upgrades of `http` whose path `accepts` to `sockets`; others get a 404 instead of the silence that
 * a bare `ws` server gives. Returns a function that stops listening.
 */
export function routeUpgrades(
  http: Server,
  sockets: WebSocketServer,
  accepts: (path: string) => boolean,
): () => void {
  const onUpgrade = (request: IncomingMessage, socket: Duplex, head: Buffer): void => {
    socket.on('error', () => socket.destroy());
    const path = requestPath(request);
    if (!accepts(path))
      return refuseUpgrade(socket, '404 Not Found', `no WebSocket endpoint at ${path}`);
    sockets.handleUpgrade(request, socket, head, (client) =>
      sockets.emit('connection', client, request),
    );
  };
  http.on('upgrade', onUpgrade);
  return () => http.off('upgrade', onUpgrade);
}
