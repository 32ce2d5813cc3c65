import type { IncomingMessage, Server, ServerResponse } from 'node:http';

/**
 * A listener for `checkContinue` of a server: who asks before it sends its body is told to when that is read, so that a request with
 * a wrong key, or too many, is answered without it. Node itself would tell everybody to go on.
 */
export function continueWhenRead(
  server: Pick<Server, 'emit'>,
): (request: IncomingMessage, response: ServerResponse) => void {
  return (request, response) => {
    const read = request._read.bind(request);
    request._read = (size) => {
      request._read = read;
      // What is let go behind an answer is not asked for.
      if (!response.headersSent) response.writeContinue();
      read(size);
    };
    server.emit('request', request, response);
  };
}
