import type { IncomingMessage } from 'node:http';
import type { AddressInfo } from 'node:net';
import { type WebSocket, WebSocketServer } from 'ws';

/** What a session of the fake server does wrong. */
export type Fault =
  | 'no session.created'
  | 'close 1013'
  | 'close 1012'
  | 'close 1008'
  | 'capacity frame'
  | 'unavailable frame'
  | 'engine error'
  | 'error with unknown id'
  | 'silence after the final commit'
  | 'drop in mid utterance'
  | 'done without final'
  | 'not the dialect'
  | 'idle close'
  | 'close 1008 after the greeting'
  | 'close 1000 after the greeting';

export interface FakeYapServer {
  readonly url: URL;
  /** Keys as they came, per session. */
  readonly keys: (string | undefined)[];
  /** Types received, in order, over all sessions. */
  readonly received: string[];
  readonly closeCodes: number[];
  /** How long each session said it would wait in line. */
  readonly waits: (string | null)[];
  readonly peakSessions: () => number;
  stop(): Promise<void>;
}

interface Envelope {
  type: string;
  request_id: string;
  payload?: { final?: boolean; reason?: string };
}

/** A server of the yap dialect for specs: every append becomes one token. */
export async function startFakeYapServer(
  options: {
    fault?: (session: number) => Fault | undefined;
    apiKey?: string;
    /** Places in line that each session is told before it is admitted. */
    queue?: readonly number[];
  } = {},
): Promise<FakeYapServer> {
  const server = new WebSocketServer({ host: '127.0.0.1', port: 0 });
  await new Promise<void>((resolve) => server.once('listening', resolve));
  const { port } = server.address() as AddressInfo;
  const keys: (string | undefined)[] = [];
  const received: string[] = [];
  const closeCodes: number[] = [];
  const waits: (string | null)[] = [];
  let sessions = 0;
  let peak = 0;
  server.on('connection', (socket, request) => {
    peak = Math.max(peak, server.clients.size);
    const key = keyOf(request);
    keys.push(key);
    socket.on('close', (code) => closeCodes.push(code));
    const fault = options.fault?.(sessions);
    sessions += 1;
    if (options.apiKey !== undefined && key !== options.apiKey) {
      sendError(socket, 'unknown', 'authentication_failed', 'Wrong key.');
      socket.close(1008, 'Wrong key.');
      return;
    }
    waits.push(new URL(request.url ?? '/', 'ws://host').searchParams.get('wait'));
    for (const position of options.queue ?? []) {
      const payload = { kind: 'queued', position, estimate_s: position * 10 };
      send(socket, 'status', 'unknown', payload);
    }
    serve(socket, fault, received);
  });
  return {
    url: new URL(`ws://127.0.0.1:${port}/api/asr-streaming`),
    keys,
    received,
    closeCodes,
    waits,
    peakSessions: () => peak,
    stop: async () => {
      for (const socket of server.clients) socket.terminate();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}

function serve(socket: WebSocket, fault: Fault | undefined, received: string[]): void {
  if (fault === 'close 1013') return socket.close(1013, 'busy');
  if (fault === 'close 1012') return socket.close(1012, 'shutting down');
  if (fault === 'close 1008') return socket.close(1008, 'no');
  if (fault === 'capacity frame') {
    sendError(socket, 'unknown', 'server_at_capacity', 'All slots are taken.');
    return socket.close(1013, 'All slots are taken.');
  }
  if (fault === 'unavailable frame') {
    sendError(socket, 'unknown', 'internal_error', 'No workers.', 'fleet_unavailable');
    return socket.close(1013, 'No workers.');
  }
  if (fault === 'no session.created') return;
  if (fault === 'not the dialect') return socket.send('{"type":"hello"}');
  send(socket, 'session.created', 'none', { id: 'sess-1', created: 1, model: 'fake' });
  if (fault === 'idle close') return socket.close(4000, 'idle_timeout');
  if (fault === 'close 1008 after the greeting') return socket.close(1008);
  if (fault === 'close 1000 after the greeting') return socket.close(1000);
  let words: string[] = [];
  socket.on('message', (data) => {
    const { type, request_id: id, payload } = JSON.parse(String(data)) as Envelope;
    received.push(type);
    if (type === 'ping') send(socket, 'pong', id, {});
    if (type === 'cancel')
      send(socket, 'cancelled', id, { reason: payload?.reason ?? 'client_request' });
    if (type === 'end') {
      send(socket, 'session_end', id, {});
      socket.close(1000);
    }
    if (type === 'input_audio_buffer.append') {
      if (fault === 'drop in mid utterance') return socket.terminate();
      words.push(` w${words.length}`);
      send(socket, 'token', id, { text: words.at(-1) });
    }
    if (type === 'input_audio_buffer.commit' && payload?.final) {
      finish(socket, id, fault, words.join(''));
      words = [];
    }
  });
}

function finish(socket: WebSocket, id: string, fault: Fault | undefined, text: string): void {
  if (fault === 'silence after the final commit') return;
  if (fault === 'engine error') return sendError(socket, id, 'engine_failed', 'Broken.');
  if (fault === 'error with unknown id') {
    return sendError(socket, 'unknown', 'invalid_message', 'Odd.');
  }
  if (fault !== 'done without final') send(socket, 'final', id, { normalized_text: text });
  const usage = { prompt_tokens: 1, completion_tokens: 2, total_tokens: 3 };
  send(socket, 'done', id, { usage });
}

function sendError(
  socket: WebSocket,
  id: string,
  code: string,
  message: string,
  reasonCode = code,
): void {
  send(socket, 'error', id, { code, message, details: { reason_code: reasonCode } });
}

function send(socket: WebSocket, type: string, requestId: string, payload: object): void {
  socket.send(JSON.stringify({ type, session_id: 'sess-1', request_id: requestId, payload }));
}

function keyOf(request: IncomingMessage): string | undefined {
  const query = new URL(request.url ?? '/', 'ws://host').searchParams.get('api_key');
  return query ?? request.headers['x-api-key']?.toString();
}
