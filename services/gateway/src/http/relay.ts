import {
  type ClientRequest,
  type IncomingMessage,
  type OutgoingHttpHeaders,
  request as requestHttp,
  type ServerResponse,
} from 'node:http';
import { request as requestHttps } from 'node:https';
import { ERRORS, type ErrorCode, VoiceError } from '@voice-fleet/protocol/errors';
import type { Clock } from '@voice-fleet/runtime/clock';
import { z } from 'zod';

/** A service that requests are carried to. */
export interface Upstream {
  readonly url: URL;
  readonly clock: Clock;
  /** Until a connection to it is there. */
  readonly dialTimeoutMs: number;
  /** A larger body is refused with message_too_large. */
  readonly maxBodyBytes: number;
}

/** An upstream that sends nothing for so long amid its answer is taken for lost. It sends something every ten seconds. */
const SILENT_MS = 60_000;
/** So long it may think before it answers: more than VOXTRAL_CHAT_TIMEOUT_S may be. */
const THINKING_MS = 630_000;
const ERROR_BYTES_MAX = 65_536;
/** Keys do not go on: the service behind knows no tenants. */
const HEADERS_OUT = ['content-type', 'content-encoding', 'content-length', 'accept'];
const HEADERS_BACK = ['content-type', 'cache-control', 'x-accel-buffering'];

/**
 * Carries a request to an upstream and its answer back, both as they come and no faster than they are taken. Each end that goes takes
 * the other with it, at once. Throws VoiceError as long as nothing was answered: what the upstream refused with, message_too_large,
 * worker_unavailable if it cannot be reached, llm_timeout if it says nothing.
 */
export async function relay(
  request: IncomingMessage,
  response: ServerResponse,
  upstream: Upstream,
): Promise<void> {
  const { maxBodyBytes } = upstream;
  if (Number(request.headers['content-length'] ?? 0) > maxBodyBytes) throw tooLarge(maxBodyBytes);
  // A client may go while its key is looked at, and nothing tells of it again.
  if (response.destroyed) return;
  // Silence is watched on the other side; a client may wait for long.
  response.setTimeout(0);
  // Whatever is written to one that has gone is nothing to report.
  response.on('error', () => undefined);
  const outgoing = open(request, upstream);
  const onGone = (): void => void outgoing.destroy();
  response.once('close', onGone);
  try {
    const answer = await exchange(request, outgoing, upstream);
    if (answer.statusCode !== 200) throw await refusal(answer);
    await pass(answer, response);
  } catch (error) {
    outgoing.destroy();
    // What is still under way is let go, so that the answer can be read.
    request.unpipe(outgoing);
    request.resume();
    if (!response.destroyed) throw error;
  } finally {
    response.off('close', onGone);
  }
}

function open(request: IncomingMessage, { url }: Upstream): ClientRequest {
  const headers: OutgoingHttpHeaders = {};
  for (const name of HEADERS_OUT) {
    const value = request.headers[name];
    if (value !== undefined) headers[name] = value;
  }
  const send = url.protocol === 'https:' ? requestHttps : requestHttp;
  // A connection of its own: a kept one may be closed under a body that cannot be sent twice.
  return send(url, { method: 'POST', headers, agent: false });
}

function exchange(
  request: IncomingMessage,
  outgoing: ClientRequest,
  { clock, dialTimeoutMs, maxBodyBytes }: Upstream,
): Promise<IncomingMessage> {
  return new Promise((resolve, reject) => {
    const dial = clock.after(dialTimeoutMs, () => fail(unreachable()));
    const fail = (error: VoiceError): void => {
      dial.cancel();
      reject(error);
    };
    outgoing.on('socket', (socket) => {
      socket.once('connect', () => dial.cancel());
    });
    outgoing.setTimeout(THINKING_MS, () => fail(new VoiceError('llm_timeout')));
    // Stays for good: the upstream may answer and stop reading.
    outgoing.on('error', (error) => fail(unreachable(error)));
    outgoing.on('close', () => fail(unreachable()));
    outgoing.on('response', (answer) => {
      dial.cancel();
      resolve(answer);
    });
    let bytes = 0;
    request.on('data', (piece: Buffer) => {
      bytes += piece.length;
      if (bytes > maxBodyBytes) fail(tooLarge(maxBodyBytes));
    });
    request.on('close', () => {
      if (!request.complete) outgoing.destroy();
    });
    request.pipe(outgoing);
  });
}

function pass(answer: IncomingMessage, response: ServerResponse): Promise<void> {
  for (const name of HEADERS_BACK) {
    const value = answer.headers[name];
    if (value !== undefined) response.setHeader(name, value);
  }
  response.writeHead(200);
  response.flushHeaders();
  return new Promise((resolve) => {
    // One that was cut off must not look whole.
    const cut = (): void => void response.destroy();
    answer.setTimeout(SILENT_MS, cut);
    answer.on('error', cut);
    answer.on('close', () => {
      if (!answer.complete) cut();
    });
    response.once('close', resolve);
    answer.pipe(response);
  });
}

const Refusal = z.object({
  error: z.object({
    code: z.string(),
    message: z.string(),
    details: z.record(z.string(), z.union([z.string(), z.number()])).default({}),
  }),
});

/** What the upstream said instead of an answer, to be told as if it were ours. */
async function refusal(answer: IncomingMessage): Promise<VoiceError> {
  try {
    const pieces: Buffer[] = [];
    let bytes = 0;
    for await (const piece of answer as AsyncIterable<Buffer>) {
      pieces.push(piece);
      bytes += piece.length;
      if (bytes > ERROR_BYTES_MAX) return unreachable();
    }
    const { error } = Refusal.parse(JSON.parse(Buffer.concat(pieces).toString('utf8')));
    const { code, message, details } = error;
    return isErrorCode(code) ? new VoiceError(code, { message, details }) : unreachable(error);
  } catch (error) {
    return unreachable(error);
  }
}

function isErrorCode(code: string): code is ErrorCode {
  return Object.hasOwn(ERRORS, code);
}

function unreachable(cause?: unknown): VoiceError {
  return new VoiceError('worker_unavailable', {
    message: 'The service that makes replies cannot be reached right now. Try again shortly.',
    details: { retry_after_s: 1 },
    cause,
  });
}

function tooLarge(maxBytes: number): VoiceError {
  return new VoiceError('message_too_large', {
    message: `The body is larger than ${maxBytes} bytes. Send shorter audio.`,
  });
}
