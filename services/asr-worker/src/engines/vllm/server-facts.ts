import { VllmModels, VllmVersion } from '@voice-fleet/protocol/vllm-realtime';

/** Before, a wrong model was accepted and failed later, finals went unanswered, and empty audio killed the engine. */
const OLDEST = [0, 19] as const;
const REQUEST_TIMEOUT_MS = 5_000;

export interface VllmServer {
  readonly baseUrl: string;
  readonly apiKey: string | undefined;
}

/** What will not get better by waiting. */
export class WrongServer extends Error {
  override readonly name = 'WrongServer';
}

/** Checks that the server speaks our protocol and serves `model`. Throws WrongServer if not, and other errors while it is not up. */
export async function checkServer(
  server: VllmServer,
  model: string,
  signal: AbortSignal,
): Promise<{ version: string }> {
  const { version } = VllmVersion.parse(await getJson(server, '/version', signal));
  if (isTooOld(version))
    throw new WrongServer(
      `vLLM ${version} at ${server.baseUrl} is too old: run ${OLDEST.join('.')}.0 or newer`,
    );
  const models = VllmModels.parse(await getJson(server, '/v1/models', signal));
  const ids = models.data.map(({ id }) => id);
  if (!ids.includes(model))
    throw new WrongServer(
      `vLLM at ${server.baseUrl} does not serve "${model}" but "${ids.join('", "')}": ` +
        'set VOXTRAL_SERVED_MODEL_NAME to one of these',
    );
  return { version };
}

/** Whether `GET /health` is 200. It is that also for an engine that hangs: only 'no' means something. */
export async function isHealthy(server: VllmServer, signal: AbortSignal): Promise<boolean> {
  return get(server, '/health', signal, async (response) => {
    await response.arrayBuffer();
    return response.ok;
  }).catch(() => false);
}

/** The text of `GET /metrics`; undefined when it cannot be had. */
export async function readMetrics(
  server: VllmServer,
  signal: AbortSignal,
): Promise<string | undefined> {
  return get(server, '/metrics', signal, async (response) => {
    const text = await response.text();
    return response.ok ? text : undefined;
  }).catch(() => undefined);
}

/** Development builds carry no version that says anything. */
export function isTooOld(version: string): boolean {
  const [, major, minor] = /^(\d+)\.(\d+)\./.exec(version) ?? [];
  if (major === undefined || minor === undefined || version.startsWith('0.1.dev')) return false;
  const [oldestMajor, oldestMinor] = OLDEST;
  if (Number(major) !== oldestMajor) return Number(major) < oldestMajor;
  return Number(minor) < oldestMinor;
}

async function getJson(server: VllmServer, path: string, signal: AbortSignal): Promise<unknown> {
  return get(server, path, signal, async (response) => {
    if (response.status === 401 || response.status === 403)
      throw new WrongServer(`vLLM at ${server.baseUrl} refuses our key: set VLLM_API_KEY`);
    if (!response.ok) throw new Error(`status ${response.status}`);
    return response.json();
  });
}

/** Its body, too, must be read within the time. */
async function get<T>(
  server: VllmServer,
  path: string,
  signal: AbortSignal,
  read: (response: Response) => Promise<T>,
): Promise<T> {
  // Not AbortSignal.any: what it makes stays with the long-lived signal.
  const request = new AbortController();
  const onAbort = (): void => request.abort(signal.reason);
  const timer = setTimeout(() => request.abort(new Error('timed out')), REQUEST_TIMEOUT_MS);
  signal.addEventListener('abort', onAbort);
  if (signal.aborted) onAbort();
  try {
    const headers = server.apiKey ? { authorization: `Bearer ${server.apiKey}` } : {};
    const url = new URL(path, server.baseUrl);
    return await read(await fetch(url, { headers, signal: request.signal }));
  } catch (error) {
    if (signal.aborted || error instanceof WrongServer) throw error;
    throw new Error(`vLLM at ${server.baseUrl} does not answer ${path}: ${reasonOf(error)}`);
  } finally {
    clearTimeout(timer);
    signal.removeEventListener('abort', onAbort);
  }
}

/** `fetch failed` says nothing; its cause does. */
function reasonOf(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  const { cause } = error as { cause?: { code?: string; message?: string } };
  return cause?.code ?? cause?.message ?? error.message;
}
