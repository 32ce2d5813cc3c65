import { type IncomingMessage, type Server, ServerResponse } from 'node:http';
import type { Socket } from 'node:net';
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
 * Lets the request handler of `http` answer an offer of another protocol, such as the `Upgrade: h2c` of `curl --http2`,
 * which a server may ignore. Node has given the socket away by then: it cannot read a second request from it.
 */
function ignoreUpgrade(http: Server, request: IncomingMessage, socket: Duplex): void {
  const response = new ServerResponse(request);
  response.shouldKeepAlive = false;
  response.assignSocket(socket as Socket);
  response.once('finish', () => (socket as Socket).destroySoon());
  http.emit('request', request, response);
}

/**
 * Hands the upgrades of `http` whose path `accepts` to `sockets`; others get a 404 instead of the silence that
 * a bare `ws` server gives, and what is no WebSocket is an ordinary request. Returns a function that stops listening.
 */
export function routeUpgrades(
  http: Server,
  sockets: WebSocketServer,
  accepts: (path: string) => boolean,
): () => void {
  const onUpgrade = (request: IncomingMessage, socket: Duplex, head: Buffer): void => {
    socket.on('error', () => socket.destroy());
    if (request.headers.upgrade?.toLowerCase() !== 'websocket')
      return ignoreUpgrade(http, request, socket);
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
