import { randomUUID } from 'node:crypto';
import { fileURLToPath } from 'node:url';
import { answersOk, redisAnswers } from '../ports.mjs';
import { FROM_SOURCE, redisServer, VLLM_LAUNCHER } from './tools.mjs';

const LEADER = fileURLToPath(new URL('leader.mjs', import.meta.url));

/** No program gets a secret that it does not need. */
const SECRETS = ['VOXTRAL_API_KEY', 'HF_TOKEN', 'HUGGING_FACE_HUB_TOKEN', 'VLLM_API_KEY'];

/**
 * What runs on this host, in the order of its start: `{ name, args, env, stage, ready }`. Each is a node program; `env` is
 * all it gets. Stopping goes by `stage`, the lowest first: sessions end before the worker that serves them, and the worker
 * takes its leave of vLLM and Redis while these still answer. `ready` asks whether it serves; the start of what follows waits
 * for one that is `awaited`.
 */
export function planOf(settings, environment) {
  const { ports } = settings;
  const redisUrl = settings.redisUrl ?? `redis://127.0.0.1:${ports.redis}`;
  const patience = String(Math.round(settings.stopTimeoutMs / 2));
  const without = (...needed) => {
    const rest = { ...environment };
    for (const name of SECRETS) if (!needed.includes(name)) delete rest[name];
    // Only who gets a pipe from us may watch it.
    delete rest.VF_EXIT_WITH_PARENT;
    return rest;
  };
  const inService = (internalPort) => ({
    INTERNAL_BIND_HOST: environment.INTERNAL_BIND_HOST?.trim() || '127.0.0.1',
    INTERNAL_PORT: String(internalPort),
    REDIS_URL: redisUrl,
    VF_EXIT_WITH_PARENT: '1',
  });
  const plan = [];
  if (settings.redisUrl === undefined) {
    plan.push({
      name: 'redis',
      args: [LEADER, patience, ...redisCommand(settings)],
      env: without(),
      stage: 2,
      awaited: true,
      ready: () => redisAnswers(ports.redis),
    });
  }
  if (settings.runsVllm) {
    const { REDIS_URL: _, ...env } = without('HF_TOKEN', 'HUGGING_FACE_HUB_TOKEN', 'VLLM_API_KEY');
    plan.push({
      name: 'vllm',
      args: [LEADER, patience, process.execPath, ...FROM_SOURCE, VLLM_LAUNCHER, 'run'],
      env: {
        ...env,
        VENV_DIR: settings.venvDir,
        VLLM_PORT: String(ports.vllm),
        VOXTRAL_MODEL_DIR: settings.modelDir,
      },
      stage: 2,
      ready: () => answersOk(`${settings.vllmUrl}/health`),
    });
  }
  plan.push(
    {
      name: 'asr-worker',
      args: [...FROM_SOURCE, 'services/asr-worker/src/main.ts'],
      env: {
        WORKER_DRAIN_S: seconds(settings.stopTimeoutMs * 0.25),
        VLLM_BASE_URL: settings.vllmUrl,
        WORKER_BIND_HOST: '127.0.0.1',
        WORKER_HOST: '127.0.0.1',
        ...set(without('VLLM_API_KEY')),
        ...inService(ports.workerInternal),
        ASR_ENGINE: settings.engine,
        WORKER_PORT: String(ports.worker),
      },
      stage: 1,
      ready: () => answersOk(`http://127.0.0.1:${ports.workerInternal}/readyz`),
    },
    {
      name: 'gateway',
      args: [...FROM_SOURCE, 'services/gateway/src/main.ts'],
      env: {
        SHUTDOWN_TIMEOUT_S: seconds(Math.max(1_000, settings.stopTimeoutMs * 0.4)),
        ...set(without('VOXTRAL_API_KEY')),
        ...inService(ports.gatewayInternal),
        SERVER_BIND_HOST: settings.bindHost,
        SERVER_PORT: String(ports.gateway),
      },
      stage: 0,
      ready: () => answersOk(settings.healthUrl),
    },
  );
  return plan;
}

/** It holds leases only, so it keeps nothing; but it would load a dump it finds, hence a file name that is not there. */
function redisCommand({ ports, runDir }) {
  const flags = ['--port', ports.redis, '--bind', '127.0.0.1', '--dir', runDir];
  const nothingKept = ['--appendonly', 'no', '--save', '', '--dbfilename', randomUUID()];
  return [redisServer(), ...flags, ...nothingKept].map(String);
}

/** The variables that are not empty: an empty one counts as unset and must not hide a default of ours. */
function set(environment) {
  return Object.fromEntries(Object.entries(environment).filter(([, value]) => value.trim() !== ''));
}

function seconds(ms) {
  return String(ms / 1_000);
}
