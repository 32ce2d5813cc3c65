import type { IncomingMessage, ServerResponse } from 'node:http';
import type { Clock } from '@voice-fleet/runtime/clock';

/** Bodies that may be large, so that they may take long. */
const UPLOAD = /^(?:multipart\/form-data|audio\/|video\/|application\/(?:octet-stream|ogg))/i;
const TIMED_OUT = 'HTTP/1.1 408 Request Timeout\r\nConnection: close\r\n\r\n';
/** What is still sent when its answer is out is waited for so long, so that the client gets to read it. */
const LINGER_MS = 5_000;

/**
 * A listener for `request`: one that brings no recording must be there within `wholeMs`, else it is answered with 408. One that
 * was answered before it was there may go on for a few seconds. The server's own limit holds for recordings.
 */
export function boundRequests(
  clock: Clock,
  wholeMs: number,
): (request: IncomingMessage, response: ServerResponse) => void {
  return (request, response) => {
    const { headers, socket } = request;
    // No body, nothing to wait for.
    if (headers['content-length'] === undefined && headers['transfer-encoding'] === undefined)
      return;
    const late = (): void => {
      if (request.complete) return;
      // As Node does it for its own limits: whoever waits for the body learns that it was cut off.
      if (response.headersSent || !socket.writable) socket.destroy();
      else socket.end(TIMED_OUT, () => socket.destroy());
    };
    let timer = UPLOAD.test(headers['content-type'] ?? '') ? undefined : clock.after(wholeMs, late);
    response.once('finish', () => {
      timer?.cancel();
      if (!request.complete) timer = clock.after(LINGER_MS, () => void socket.destroy());
    });
    request.once('close', () => timer?.cancel());
  };
}
