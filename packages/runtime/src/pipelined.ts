import type { IncomingMessage, ServerResponse } from 'node:http';

/**
 * A listener for `request`, before all others. Node never closes the response to a request that came behind another one on its
 * connection when that is lost before its turn: whatever waits for its `close` would wait for ever. With this it does. Who looks later asks whether it is `destroyed`: `closed` is
 * told of no response whose turn never came.
 */
export function closeWithConnection(request: IncomingMessage, response: ServerResponse): void {
  if (response.socket !== null) return;
  request.socket.once('close', () => {
    if (response.socket !== null || response.closed) return;
    response.destroy();
    response.emit('close');
  });
}
