import { type YapClientType, YapServerFrame } from '@voice-fleet/protocol/yap';
import { WebSocket } from 'ws';

const CLOSE_MS = 10_000;

/** How a visit ended. `cut`: the connection was lost. */
export type VisitEnd = 'served' | 'refused' | 'cut';

export interface Visit {
  readonly end: VisitEnd;
  /** All times are of `performance.now()`. */
  readonly dialedMs: number;
  readonly admittedMs: number | undefined;
  /** When it left, or learned that it would not get in. */
  readonly overMs: number;
  /** Reason code of a refusal, fault of the connection, or close code. */
  readonly reason: string;
}

/** Counts visitors inside, as they see it: from the frame that says they are, until they say that they leave. */
export class Doorkeeper {
  inside = 0;
  mostInside = 0;

  enter(): void {
    this.inside += 1;
    this.mostInside = Math.max(this.mostInside, this.inside);
  }

  leave(): void {
    this.inside -= 1;
  }
}

export interface VisitOptions {
  readonly url: URL;
  readonly apiKey: string;
  /** How long it is willing to wait in line; 0: not at all. */
  readonly waitS: number;
  /** How long it stays. */
  readonly holdMs: number;
  readonly door: Doorkeeper;
  readonly onAdmitted?: () => void;
}

/** Dials, stays a moment without a word, and leaves. Never rejects. */
export async function visit(options: VisitOptions): Promise<Visit> {
  const { door, holdMs } = options;
  const dialedMs = performance.now();
  const socket = dial(options);
  let admittedMs: number | undefined;
  let overMs: number | undefined;
  let reason = '';
  let inside = false;
  let timer: NodeJS.Timeout | undefined;
  const leave = (): void => {
    overMs ??= performance.now();
    if (inside) door.leave();
    inside = false;
  };
  socket.on('message', (data: Buffer) => {
    const frame = YapServerFrame.parse(JSON.parse(data.toString()));
    if (frame.type === 'error') {
      reason = frame.payload.details.reason_code;
      overMs ??= performance.now();
    }
    if (frame.type !== 'session.created') return;
    admittedMs = performance.now();
    inside = true;
    door.enter();
    options.onAdmitted?.();
    timer = setTimeout(() => {
      // Before it is said: from then on the slot may be another's.
      leave();
      say(socket, 'end');
      timer = setTimeout(() => socket.terminate(), CLOSE_MS);
    }, holdMs);
  });
  socket.on('unexpected-response', (_request, response) => {
    reason = `HTTP ${response.statusCode}`;
    overMs ??= performance.now();
    socket.terminate();
  });
  let fault = '';
  socket.on('error', (error) => {
    fault = error.message;
  });
  const code = await new Promise<number>((resolve) => void socket.once('close', resolve));
  clearTimeout(timer);
  leave();
  const end =
    code === 1000 ? 'served' : reason !== '' && admittedMs === undefined ? 'refused' : 'cut';
  return {
    end,
    dialedMs,
    admittedMs,
    overMs: overMs ?? performance.now(),
    reason: reason || fault || String(code),
  };
}

function dial({ url, apiKey, waitS }: VisitOptions): WebSocket {
  const target = new URL(url);
  if (waitS > 0) target.searchParams.set('wait', String(waitS));
  return new WebSocket(target, { headers: { 'X-API-Key': apiKey }, perMessageDeflate: false });
}

function say(socket: WebSocket, type: YapClientType): void {
  if (socket.readyState !== WebSocket.OPEN) return;
  socket.send(JSON.stringify({ type, session_id: 'visitor', request_id: type, payload: {} }));
}
