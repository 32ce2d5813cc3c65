// Ends with 0 when the service of this container answers, else with 1. The image says in VF_SERVICE which one it is.
import { env } from 'node:process';

/** Where each service says that it lives: the variable of the port, its default, and the path. */
const SERVICES = {
  gateway: ['INTERNAL_PORT', '9100', '/livez'],
  'asr-worker': ['INTERNAL_PORT', '9200', '/livez'],
  'llm-tts': ['INTERNAL_PORT', '9102', '/livez'],
  vllm: ['VLLM_PORT', '8300', '/health'],
};
const TIMEOUT_MS = 4_000;

const [variable, port, path] = SERVICES[env.VF_SERVICE];
try {
  const url = `http://127.0.0.1:${env[variable]?.trim() || port}${path}`;
  const { ok, status } = await fetch(url, { signal: AbortSignal.timeout(TIMEOUT_MS) });
  if (!ok) console.error(`${url} answers ${status}`);
  process.exitCode = ok ? 0 : 1;
} catch (error) {
  console.error(String(error.cause ?? error));
  process.exitCode = 1;
}
