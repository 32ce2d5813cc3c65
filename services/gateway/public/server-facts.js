/** Before anybody has answered; then the socket will say what is wrong. */
export const UNKNOWN_SERVER = {
  kind: 'unknown',
  modes: ['voice', 'transcribe', 'chat'],
  enabled: true,
  asksForKey: true,
  config: {},
};

/** Finds out what this server is and can do. Never rejects. `get(path)` gives parsed JSON, or undefined. */
export async function learnServer(get = getJson) {
  const health = await get('health');
  if (health && 'model_loaded' in health) {
    // Transcript alone, one turn a connection, and on one's own machine without a key.
    const lean = { kind: 'lean', modes: ['transcribe'], asksForKey: false };
    return { ...UNKNOWN_SERVER, ...lean, enabled: health.model_loaded };
  }
  const config = await get('api/stream_config');
  if (config)
    return { ...UNKNOWN_SERVER, kind: 'fleet', enabled: config.enabled !== false, config };
  return UNKNOWN_SERVER;
}

async function getJson(path) {
  try {
    const response = await fetch(new URL(path, document.baseURI), {
      headers: { Accept: 'application/json' },
    });
    // A fleet that is loading answers 503, and says so in JSON.
    const isAnswer = response.ok || response.status === 503;
    const isJson = response.headers.get('Content-Type')?.includes('json');
    return isAnswer && isJson ? await response.json() : undefined;
  } catch {
    return undefined;
  }
}
