import type { IncomingHttpHeaders } from 'node:http';

export type RealtimeDialect = 'openai' | 'vllm';

const CLIENTS = /^(?:OpenAI\/|LiveKit Agents|Agents\/JavaScript)/i;

/** Which protocol a request is for, if it says so; the first frames tell otherwise. */
export function dialectOfRequest(
  query: URLSearchParams,
  headers: IncomingHttpHeaders,
): RealtimeDialect | undefined {
  const named = query.get('dialect');
  if (named === 'vllm' || named === 'openai') return named;
  const offered = (headers['sec-websocket-protocol'] ?? '').split(',').map((one) => one.trim());
  const says =
    query.get('intent') === 'transcription' ||
    query.has('call_id') ||
    headers['openai-beta'] !== undefined ||
    offered.some((one) => one === 'realtime' || one.startsWith('openai-')) ||
    CLIENTS.test(headers['user-agent'] ?? '');
  return says ? 'openai' : undefined;
}

/**
 * Which protocol a frame belongs to. Undefined: to both, as audio does. `heard`: audio came before it, so a commit can end
 * something.
 */
export function dialectOfFrame(frame: unknown, heard: boolean): RealtimeDialect | undefined {
  if (typeof frame !== 'object' || frame === null || Array.isArray(frame)) return undefined;
  const fields = frame as Readonly<Record<string, unknown>>;
  if ('event_id' in fields) return 'openai';
  switch (fields['type']) {
    case 'input_audio_buffer.append':
      return undefined;
    case 'session.update':
      return typeof fields['model'] === 'string' && !('session' in fields) ? 'vllm' : 'openai';
    case 'input_audio_buffer.commit':
      // Without any audio it ends nothing: it begins.
      return 'final' in fields || !heard ? 'vllm' : 'openai';
    default:
      return typeof fields['type'] === 'string' ? 'openai' : undefined;
  }
}
