import { VoiceError } from '@voice-fleet/protocol/errors';
import type { ChatRequest } from '@voice-fleet/protocol/openai-rest';
import { z } from 'zod';

/** A language model behind `/chat/completions`. */
export interface ChatServer {
  readonly baseUrl: string;
  /** Empty: the server asks for none. */
  readonly apiKey: string;
  readonly model: string;
}

const ERROR_BYTES_MAX = 65_536;
const ERROR_CHARACTERS_MAX = 500;
/** Clients wait no longer than this before they try again. */
const RETRY_S_MAX = 60;
/** What a server says of a request that it will never take. */
const REFUSALS = [400, 413, 415, 422];

/**
 * Asks a server for a completion, with its own key and model and all else as it was asked for. Closing the signal closes the
 * connection. Throws VoiceError as long as nothing was answered: invalid_message for what the server refused, at_capacity,
 * llm_failed; the signal's reason if it aborts.
 */
export async function askForChat(
  { baseUrl, apiKey, model }: ChatServer,
  request: ChatRequest,
  signal: AbortSignal,
): Promise<Response> {
  let response: Response;
  try {
    response = await fetch(`${baseUrl.replace(/\/+$/, '')}/chat/completions`, {
      method: 'POST',
      headers: {
        'content-type': 'application/json',
        ...(apiKey && { authorization: `Bearer ${apiKey}` }),
      },
      body: JSON.stringify({ ...request, model }),
      // The key is for this server alone.
      redirect: 'error',
      signal,
    });
  } catch {
    signal.throwIfAborted();
    throw new VoiceError('llm_failed', { details: { cause: 'unreachable' } });
  }
  if (response.ok) return response;
  throw await faultOf(response, apiKey);
}

async function faultOf(response: Response, apiKey: string): Promise<VoiceError> {
  const { status, headers } = response;
  if (status === 429) {
    const wait = Number(headers.get('retry-after'));
    await response.body?.cancel();
    return new VoiceError('at_capacity', {
      message: 'The language model takes no more requests right now. Try again shortly.',
      details: { retry_after_s: wait > 0 ? Math.min(Math.ceil(wait), RETRY_S_MAX) : 1 },
    });
  }
  if (!REFUSALS.includes(status)) {
    await response.body?.cancel();
    return new VoiceError('llm_failed', { details: { cause: 'status', status } });
  }
  const reason = reasonIn(await readText(response, ERROR_BYTES_MAX).catch(() => ''));
  const keyless = apiKey === '' ? reason : reason.replaceAll(apiKey, '…');
  return new VoiceError('invalid_message', {
    message: `The language model refused the request: ${keyless.slice(0, ERROR_CHARACTERS_MAX)}`,
  });
}

const ErrorBody = z.object({
  message: z.string().optional(),
  error: z.union([z.string(), z.object({ message: z.string() })]).optional(),
});

function reasonIn(text: string): string {
  try {
    const { error, message } = ErrorBody.parse(JSON.parse(text));
    return (typeof error === 'string' ? error : error?.message) ?? message ?? 'no reason given';
  } catch {
    return 'no reason given';
  }
}

/** Throws when the body is longer than `maxBytes`. */
export async function readText(response: Response, maxBytes: number): Promise<string> {
  const parts: Uint8Array[] = [];
  let bytes = 0;
  for await (const part of response.body ?? []) {
    bytes += part.length;
    if (bytes > maxBytes) throw new VoiceError('llm_failed', { details: { cause: 'too_long' } });
    parts.push(part);
  }
  return Buffer.concat(parts).toString();
}
