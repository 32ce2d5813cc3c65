import { once } from 'node:events';
import type { IncomingMessage } from 'node:http';
import { expect } from '@jest/globals';
import { WebSocket } from 'ws';

/** A refusal over HTTP, of a request or of an upgrade. */
export interface Refused {
  readonly status: number;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: unknown;
}

/** How a path tells errors: as all of ours, as OpenAI, or as Deepgram. */
export type ErrorStyle = 'own' | 'openai' | 'deepgram';

/** What every refusal is compared with; the code is that of the style. */
export interface Expected {
  readonly status: number;
  readonly code: Partial<Record<ErrorStyle, string>>;
  /** It may pass: it says when. */
  readonly passes?: boolean;
  /** The status says that it may pass, and it does not. */
  readonly pointless?: boolean;
}

const TYPES = /^(?:invalid_request_error|rate_limit_error|insufficient_quota|server_error)$/;

/** Fails unless a refusal has its status, a body of its style, and the headers that tell a client what to do. */
export function expectRefusal(refused: Refused, style: ErrorStyle, expected: Expected): void {
  const { status, code, passes = false, pointless = false } = expected;
  const { headers, body } = refused;
  expect({ status: refused.status, body }).toEqual({
    status,
    body: bodyOf(style, code[style]),
  });
  expect(headers['content-type']).toMatch(/^application\/json/);
  expect(headers['x-request-id']).toMatch(/^[\w-]{8,}$/);
  const retryS = headers['retry-after'];
  if (passes) {
    expect(Number(retryS)).toBeGreaterThan(0);
    expect(Number(retryS)).toBeLessThanOrEqual(60);
  }
  // Clients take all of these for what may pass, and come again.
  const retried = status === 408 || status === 409 || status === 429 || status >= 500;
  expect({ retried, retryS, told: headers['x-should-retry'] }).toEqual({
    retried: passes || pointless,
    retryS: passes || pointless ? retryS : undefined,
    told: pointless ? 'false' : undefined,
  });
  // Their types have it, though it be null.
  if (style === 'openai') expect(body).toHaveProperty('error.param');
  if (status === 401) expect(headers['www-authenticate']).toBe('Bearer');
}

function bodyOf(style: ErrorStyle, code: string | undefined): unknown {
  const name = code ?? expect.any(String);
  const message = expect.stringMatching(/\S/);
  switch (style) {
    case 'own':
      return { error: { code: name, message, details: expect.any(Object) } };
    case 'openai':
      return {
        error: expect.objectContaining({ code: name, message, type: expect.stringMatching(TYPES) }),
      };
    case 'deepgram':
      return expect.objectContaining({
        err_code: name,
        err_msg: message,
        request_id: expect.any(String),
      });
  }
}

/** The answer to a request, whatever it is. */
export async function refusedRequest(url: string, init: RequestInit): Promise<Refused> {
  const response = await fetch(url, init);
  const body: unknown = await response.json();
  return { status: response.status, headers: Object.fromEntries(response.headers), body };
}

/** The answer to an upgrade that is not let in. Rejects when it is. */
export async function refusedUpgrade(
  url: string,
  headers: Record<string, string>,
): Promise<Refused> {
  const socket = new WebSocket(url, { headers });
  socket.on('error', () => undefined);
  const answer = await Promise.race([
    once(socket, 'unexpected-response').then(([, response]) => response as IncomingMessage),
    once(socket, 'open').then(() => undefined),
  ]);
  if (answer === undefined) {
    socket.terminate();
    throw new Error('the upgrade was let in');
  }
  let text = '';
  for await (const chunk of answer) text += String(chunk);
  return {
    status: answer.statusCode ?? 0,
    headers: answer.headers as Record<string, string>,
    body: JSON.parse(text) as unknown,
  };
}
