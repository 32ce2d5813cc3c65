import { YAP_QUERY, YapServerFrame } from '@voice-fleet/protocol/yap';
import { type RawData, WebSocket } from 'ws';
import { failureOfHttpStatus, YapProtocolError, YapUnreachable } from './yap-errors.ts';

const MAX_FRAME_BYTES = 32 * 1024 * 1024;

export interface YapClose {
  readonly code: number;
  readonly reason: string;
}

/** What goes out before the first frame. */
export interface YapRequest {
  readonly url: URL;
  readonly headers: Readonly<Record<string, string>>;
}

export interface YapRequestOptions {
  readonly url: URL;
  readonly apiKey?: string | undefined;
  /** Where key and resume token go. Header by default: a query ends up in access logs. */
  readonly keyIn?: 'header' | 'query' | undefined;
  /** How long to wait in line when all slots are taken; default: not at all. */
  readonly waitS?: number | undefined;
  /** Asks for `ack` frames. */
  readonly acks?: boolean | undefined;
  readonly resumable?: boolean | undefined;
  /** The session to go on with, and the last numbered frame of it that came. */
  readonly resume?: { readonly token: string; readonly lastSeq: number } | undefined;
}

export interface YapSocketEvents {
  onOpen(): void;
  /** A frame, or what is wrong with what came instead of one. */
  onFrame(frame: YapServerFrame | YapProtocolError): void;
  /** Answer to a WebSocket ping. */
  onPong(): void;
  /** Why the socket will close soon, where more is known than a close code. */
  onFault(error: Error): void;
  /** The last event, and always the last. */
  onClose(close: YapClose): void;
}

/** One WebSocket, as the clients see it. No event comes before `YapDial` has returned. */
export interface YapSocket {
  /** Written, but not yet taken by the network. */
  readonly bufferedBytes: number;
  send(data: string | Buffer): void;
  ping(): void;
  close(code: number): void;
  /** Ends it without a closing handshake. */
  terminate(): void;
}

export type YapDial = (request: YapRequest, events: YapSocketEvents) => YapSocket;

export function yapRequest(options: YapRequestOptions): YapRequest {
  const { apiKey, keyIn = 'header', waitS = 0, acks, resumable, resume } = options;
  const url = new URL(options.url);
  const headers: Record<string, string> = {};
  const put = (parameter: string, header: string, value: string): void => {
    if (keyIn === 'query') url.searchParams.set(parameter, value);
    else headers[header] = value;
  };
  if (apiKey) put(YAP_QUERY.apiKey, 'X-API-Key', apiKey);
  if (waitS > 0) url.searchParams.set(YAP_QUERY.wait, String(waitS));
  if (acks) url.searchParams.set(YAP_QUERY.acks, '1');
  if (resumable) url.searchParams.set(YAP_QUERY.resumable, '1');
  if (resume) {
    put(YAP_QUERY.resumeToken, 'X-Resume-Token', resume.token);
    put(YAP_QUERY.lastSeq, 'X-Last-Seq', String(resume.lastSeq));
  }
  return { url, headers };
}

/** Dials over the network. */
export const dialYap: YapDial = ({ url, headers }, events) => {
  // ws turns Nagle's algorithm off by itself; compressing base64 audio costs time and gains little.
  const socket = new WebSocket(url, {
    perMessageDeflate: false,
    maxPayload: MAX_FRAME_BYTES,
    headers: { ...headers },
  });
  socket.on('open', () => events.onOpen());
  socket.on('message', (data, isBinary) => events.onFrame(parseFrame(data, isBinary)));
  socket.on('pong', () => events.onPong());
  socket.on('unexpected-response', (_request, response) => {
    events.onFault(failureOfHttpStatus(response.statusCode ?? 0));
    socket.terminate();
  });
  socket.on('error', (cause) => events.onFault(new YapUnreachable(cause.message, { cause })));
  socket.on('close', (code, reason) => events.onClose({ code, reason: reason.toString() }));
  return {
    get bufferedBytes() {
      return socket.bufferedAmount;
    },
    send: (data) => socket.send(data),
    ping: () => socket.ping(),
    close: (code) => socket.close(code),
    terminate: () => socket.terminate(),
  };
};

export function parseFrame(
  data: RawData | string,
  isBinary: boolean,
): YapServerFrame | YapProtocolError {
  if (isBinary) return new YapProtocolError('The server sent a binary frame.');
  let json: unknown;
  try {
    json = JSON.parse(data.toString());
  } catch {
    return new YapProtocolError('The server sent a frame that is not JSON.');
  }
  const parsed = YapServerFrame.safeParse(json);
  if (parsed.success) return parsed.data;
  const type = (json as { type?: unknown } | null)?.type;
  return new YapProtocolError(
    `The server sent a frame of type ${JSON.stringify(type)} that is not of the yap dialect.`,
  );
}
