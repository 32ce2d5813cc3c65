import type { IncomingMessage } from 'node:http';
import { guardedRequest, type UrlGuard } from '@voice-fleet/jobs/url-guard';
import { VoiceError } from '@voice-fleet/protocol/errors';
import type { Clock } from '@voice-fleet/runtime/clock';

/** More of an answer is not read. What it says is of no use: its status says all. */
const ANSWER_BYTES_MAX = 16_384;
const SYSTEM_CODE = /^[A-Z][A-Z0-9_]{1,40}$/;

/** What came of one request. A fault is a word, or the code of a system error. */
export type Answer =
  | { readonly kind: 'status'; readonly status: number; readonly retryAfterMs: number }
  | { readonly kind: 'fault'; readonly fault: string };

export interface Sent {
  readonly answer: Answer;
  readonly ms: number;
  /** When the connection is done with; it ends by itself, within the time of the request. */
  readonly over: Promise<void>;
}

export interface SendOptions {
  readonly url: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: string;
  readonly timeoutMs: number;
  /** Ends it at once, with the fault `stopped`. */
  readonly signal: AbortSignal;
}

/** Sends a webhook once. Does not reject: whatever goes wrong is an answer, too. A redirect is not followed. */
export async function sendWebhook(
  guard: UrlGuard,
  clock: Clock,
  { url, headers, body, timeoutMs, signal }: SendOptions,
): Promise<Sent> {
  const startMs = clock.now();
  const end = new AbortController();
  let ended = 'timeout';
  const timer = clock.after(timeoutMs, () => end.abort());
  const onStop = (): void => {
    ended = 'stopped';
    end.abort();
  };
  signal.addEventListener('abort', onStop, { once: true });
  if (signal.aborted) onStop();
  const release = (): void => {
    timer.cancel();
    signal.removeEventListener('abort', onStop);
  };
  const sent = (answer: Answer, over: Promise<void>): Sent => ({
    answer,
    ms: Math.round(clock.now() - startMs),
    over: over.finally(release),
  });
  try {
    // A name that is looked up cannot be given up otherwise.
    const target = await orAborted(guard.check(url), end.signal);
    const request = guardedRequest(target, { method: 'POST', headers, body, signal: end.signal });
    const response = await orAborted(request, end.signal);
    const { statusCode: status = 0 } = response;
    const retryAfterMs = retryAfterOf(response);
    return sent({ kind: 'status', status, retryAfterMs }, drained(response));
  } catch (error) {
    const fault = end.signal.aborted ? ended : faultOf(error);
    return sent({ kind: 'fault', fault }, Promise.resolve());
  }
}

/** Lets the other side write its answer to the end, where that is not far. */
function drained(response: IncomingMessage): Promise<void> {
  return new Promise((resolve) => {
    let bytes = 0;
    response.on('data', (piece: Buffer) => {
      bytes += piece.byteLength;
      if (bytes > ANSWER_BYTES_MAX) response.destroy();
    });
    response.on('error', () => undefined);
    response.once('close', resolve);
  });
}

/** Seconds alone: dates are as wrong as clocks are. 0 when it says nothing. */
function retryAfterOf({ headers }: IncomingMessage): number {
  const { 'retry-after': seconds = '' } = headers;
  return /^\d{1,6}$/.test(seconds) ? Number(seconds) * 1000 : 0;
}

/** Never the message of an error, which may name the URL. */
function faultOf(error: unknown): string {
  if (error instanceof VoiceError) return error.code;
  if (typeof error !== 'object' || error === null || !('code' in error)) return 'error';
  const { code } = error;
  return typeof code === 'string' && SYSTEM_CODE.test(code) ? code : 'error';
}

function orAborted<T>(asked: Promise<T>, signal: AbortSignal): Promise<T> {
  return new Promise((resolve, reject) => {
    const onAbort = (): void => reject(signal.reason as Error);
    if (signal.aborted) onAbort();
    signal.addEventListener('abort', onAbort, { once: true });
    asked.then(resolve, reject).finally(() => signal.removeEventListener('abort', onAbort));
  });
}
