import { homedir } from 'node:os';
import { isAbsolute, join, resolve } from 'node:path';
import { env } from 'node:process';
import { repoRoot } from '../paths.mjs';

const SECOND = 1_000;
const MEGABYTE = 1_000_000;

/** A setting the operator has to mend; the message says how. */
export class SettingError extends Error {}

/** A variable's text; an empty one counts as unset, as in the services. */
export function given(name) {
  return env[name]?.trim() || undefined;
}

/**
 * Everything the commands read from the environment. Folders are absolute, times in milliseconds, sizes in bytes.
 * Throws SettingError for a value that cannot be meant.
 */
export function readSettings() {
  const runDir = folder('VF_RUN_DIR', '.run');
  const engine = given('ASR_ENGINE') ?? 'vllm';
  const serverPort = port('SERVER_PORT', 8000);
  const bindHost = given('SERVER_BIND_HOST') ?? '0.0.0.0';
  const address = `${reachable(bindHost)}:${serverPort}`;
  return {
    apiKey: given('VOXTRAL_API_KEY'),
    engine,
    runsVllm: yes('RUN_VLLM', engine === 'vllm' && given('VLLM_BASE_URL') === undefined),
    bindHost,
    address,
    healthUrl: given('HEALTH_URL') ?? `http://${address}/readyz`,
    ports: {
      gateway: serverPort,
      gatewayInternal: port('GATEWAY_INTERNAL_PORT', 9100),
      worker: port('WORKER_PORT', 8200),
      workerInternal: port('WORKER_INTERNAL_PORT', 9200),
      vllm: port('VLLM_PORT', 8300),
      redis: port('REDIS_PORT', 6379),
    },
    vllmUrl: `http://${reachable(given('VLLM_HOST') ?? '127.0.0.1')}:${port('VLLM_PORT', 8300)}`,
    redisUrl: given('REDIS_URL'),
    runDir,
    logFile: folder('SERVER_LOG_FILE', join(runDir, 'server.log')),
    pidFile: folder('SERVER_PID_FILE', join(runDir, 'server.pid')),
    stateFile: join(runDir, 'state.json'),
    venvDir: folder('VENV_DIR', '.venv'),
    modelDir: folder('VOXTRAL_MODEL_DIR', 'models/voxtral'),
    healthTimeoutMs: number('HEALTH_TIMEOUT_S', 600, { min: 1, max: 86_400 }) * SECOND,
    stopTimeoutMs: number('STOP_TIMEOUT_S', 10, { min: 0.1, max: 600 }) * SECOND,
    logMaxBytes: Math.floor(number('LOG_MAX_MB', 100, { min: 0.01, max: 100_000 }) * MEGABYTE),
    tailLogs: yes('TAIL_LOGS', true),
  };
}

const YES = ['1', 'true', 'yes', 'on'];
const NO = ['0', 'false', 'no', 'off'];

/** A yes or no, spelt as in the services. */
export function yes(name, fallback) {
  const word = given(name)?.toLowerCase();
  if (word === undefined) return fallback;
  if (!YES.includes(word) && !NO.includes(word)) {
    throw new SettingError(`${name} takes one of ${[...YES, ...NO].join(', ')}, not "${word}".`);
  }
  return YES.includes(word);
}

/** An absolute path; a relative one counts from the checkout, so that every command means the same folder. */
function folder(name, fallback) {
  const text = given(name) ?? fallback;
  if (text === '~' || text.startsWith('~/')) {
    throw new SettingError(
      `${name} is "${text}", which no shell has expanded: write ${join(homedir(), text.slice(1))}.`,
    );
  }
  return isAbsolute(text) ? resolve(text) : resolve(repoRoot, text);
}

function port(name, fallback) {
  const value = number(name, fallback, { min: 1, max: 65_535 });
  if (!Number.isInteger(value)) throw new SettingError(`${name} takes a whole number.`);
  return value;
}

function number(name, fallback, { min, max }) {
  const text = given(name);
  const value = text === undefined ? fallback : Number(text);
  if (!Number.isFinite(value) || value < min || value > max) {
    throw new SettingError(`${name} takes a number from ${min} to ${max}, not "${text}".`);
  }
  return value;
}

/** An address for clients on this machine. */
function reachable(bindHost) {
  if (bindHost === '0.0.0.0' || bindHost === '::') return '127.0.0.1';
  return bindHost.includes(':') ? `[${bindHost}]` : bindHost;
}
