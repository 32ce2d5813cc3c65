const ALL = ['voice', 'transcribe', 'chat'];

/** Finds out what this server is and can do. Never rejects. `get(path)` gives parsed JSON, or undefined. */
export async function learnServer(get = getJson) {
  const [config, health] = await Promise.all([get('api/stream_config'), get('health')]);
  if (config) return { kind: 'fleet', modes: ALL, enabled: config.enabled !== false, config };
  if (health && 'model_loaded' in health) {
    return { kind: 'lean', modes: ['transcribe'], enabled: health.model_loaded, config: {} };
  }
  // Nobody answered: the socket will say what is wrong.
  return { kind: 'unknown', modes: ALL, enabled: true, config: {} };
}

async function getJson(path) {
  try {
    const response = await fetch(new URL(path, document.baseURI), {
      headers: { Accept: 'application/json' },
    });
    const isJson = response.headers.get('Content-Type')?.includes('json');
    // A fleet that is loading answers 503, and says so in JSON.
    return isJson && response.status !== 404 ? await response.json() : undefined;
  } catch {
    return undefined;
  }
}
