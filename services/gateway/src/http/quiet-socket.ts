import type { Socket } from 'node:net';

/** The socket, as far as it is used here. */
export type TimedSocket = Pick<Socket, 'setTimeout' | 'timeout'>;

interface Quiet {
  requests: number;
  /** As it was before. */
  readonly idleMs: number;
}

const quiet = new WeakMap<TimedSocket, Quiet>();

/**
 * Lets nothing move on a connection while an engine works for a request that came over it. The answer ends that, safe twice; of
 * requests that came behind each other it is the last that does.
 */
export function keepQuiet(socket: TimedSocket): () => void {
  const held = quiet.get(socket) ?? { requests: 0, idleMs: socket.timeout ?? 0 };
  quiet.set(socket, held);
  held.requests += 1;
  socket.setTimeout(0);
  let over = false;
  return () => {
    if (over) return;
    over = true;
    held.requests -= 1;
    if (held.requests > 0) return;
    quiet.delete(socket);
    socket.setTimeout(held.idleMs);
  };
}
