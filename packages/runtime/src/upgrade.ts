import { type IncomingMessage, type Server, ServerResponse, STATUS_CODES } from 'node:http';
import type { Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import type { WebSocketServer } from 'ws';
import { HeldSocket } from './upgrade-hold.ts';

/** An answer to an upgrade that opens no WebSocket. */
export interface UpgradeRefusal {
  readonly status: number;
  /** Sent as JSON. */
  readonly body: unknown;
  readonly headers?: Readonly<Record<string, string>>;
}

/**
 * Says whether a WebSocket may be opened; `undefined` lets it through. It may take its time: `signal` aborts when the client
 * has gone meanwhile, and then nobody hears what it says.
 */
export type UpgradeCheck = (
  request: IncomingMessage,
  signal: AbortSignal,
) => UpgradeRefusal | undefined | Promise<UpgradeRefusal | undefined>;

/** Path of a request without its query, which may hold a key. */
export function requestPath(request: IncomingMessage): string {
  const url = request.url ?? '/';
  const end = url.indexOf('?');
  return end < 0 ? url : url.slice(0, end);
}

/** Query of a request; it may hold a key. */
export function requestQuery({ url = '/' }: IncomingMessage): URLSearchParams {
  const start = url.indexOf('?');
  return new URLSearchParams(start < 0 ? '' : url.slice(start + 1));
}

/** Answers an upgrade with plain HTTP and closes its socket. */
export function refuseUpgrade(socket: Duplex, status: string, message: string): void {
  endWith(socket, status, { error: message });
}

/** A check that knows its paths only; others get a 404. */
export function acceptPaths(accepts: (path: string) => boolean): UpgradeCheck {
  return (request) => {
    const path = requestPath(request);
    if (accepts(path)) return undefined;
    return { status: 404, body: { error: `no WebSocket endpoint at ${path}` } };
  };
}

/**
 * Hands the upgrades of `http` that pass `check` to `sockets`, and answers the others, instead of the silence that a bare
 * `ws` server gives. What is no WebSocket is an ordinary request. Returns a function that stops listening.
 */
export function routeUpgrades(
  http: Server,
  sockets: WebSocketServer,
  check: UpgradeCheck,
): () => void {
  const settle = (
    request: IncomingMessage,
    socket: Duplex,
    held: HeldSocket,
    refusal: UpgradeRefusal | undefined,
  ): void => {
    if (held.signal.aborted) return;
    const head = held.release();
    if (refusal !== undefined) return answer(socket, refusal);
    // Before the handover: whoever gets the socket may pause it again.
    socket.resume();
    sockets.handleUpgrade(request, socket, head, (client) =>
      sockets.emit('connection', client, request),
    );
  };

  const onUpgrade = (request: IncomingMessage, socket: Duplex, head: Buffer): void => {
    socket.on('error', () => socket.destroy());
    if (request.headers.upgrade?.toLowerCase() !== 'websocket')
      return ignoreUpgrade(http, request, socket);
    const held = new HeldSocket(socket, head);
    const verdict = check(request, held.signal);
    if (!(verdict instanceof Promise)) return settle(request, socket, held, verdict);
    void verdict.catch(() => FAULT).then((refusal) => settle(request, socket, held, refusal));
  };
  http.on('upgrade', onUpgrade);
  return () => http.off('upgrade', onUpgrade);
}

const FAULT: UpgradeRefusal = { status: 500, body: { error: 'internal error' } };

function answer(socket: Duplex, { status, body, headers = {} }: UpgradeRefusal): void {
  endWith(socket, `${status} ${STATUS_CODES[status] ?? ''}`, body, headers);
}

function endWith(
  socket: Duplex,
  status: string,
  content: unknown,
  headers: Readonly<Record<string, string>> = {},
): void {
  const body = JSON.stringify(content);
  const lines = [
    `HTTP/1.1 ${status}`,
    'Connection: close',
    'Content-Type: application/json',
    `Content-Length: ${Buffer.byteLength(body)}`,
    ...Object.entries(headers).map(([name, value]) => `${name}: ${value}`),
  ];
  socket.once('finish', () => socket.destroy());
  socket.end(`${lines.join('\r\n')}\r\n\r\n${body}`);
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
