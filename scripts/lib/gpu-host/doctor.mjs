import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { nodeModulesMatchLock } from '../node-modules.mjs';
import { paint, parseObject } from '../output.mjs';
import { isAlive } from './identity.mjs';
import { readPidFile } from './run-files.mjs';
import { given } from './settings.mjs';
import { table } from './table.mjs';
import {
  findGpus,
  HOW_TO_GET_REDIS,
  howToMakeVenv,
  isExecutable,
  LEAST_VLLM,
  output,
  redisServer,
  takenPorts,
} from './tools.mjs';

const PROBE = fileURLToPath(new URL('probe.py', import.meta.url));
/** The first import of torch reads gigabytes from a cold disk. */
const PROBE_TIMEOUT_MS = 120_000;

/** Exit codes of the faults. */
const FAULTS = {
  venv: 1,
  'nvidia-smi': 2,
  'CUDA torch': 3,
  'CUDA 12': 4,
  NVRTC: 5,
  GPU: 6,
  torch: 7,
  'torch sees GPU': 8,
  vLLM: 9,
  'API key': 10,
  'npm packages': 11,
  Redis: 12,
  ports: 13,
};

/** Looks at everything the host needs and prints it as a table; returns 0, or the code of the first fault in it. */
export async function doctor(settings, { json }) {
  const checks = await examine([...(await gpuChecks(settings)), ...(await hostChecks(settings))]);
  const fault = checks.find(({ result }) => result === 'fault');
  const code = fault?.code ?? 0;
  if (json) console.log(JSON.stringify({ ok: code === 0, code, checks }));
  else show(checks);
  return code;
}

/**
 * Judges checks `{ name, needs, unless, good, found, next }` in their order. One is skipped where `unless` gives a reason,
 * or where another one that it needs is not good; `next` says what to do about a fault.
 */
async function examine(checks) {
  const done = [];
  for (const { name, needs, unless, good, found, next } of checks) {
    const lacking = done.find((one) => one.name === needs && one.result !== 'ok');
    const reason = unless ?? (lacking && `needs ${needs}`);
    if (reason) done.push({ name, result: 'skipped', found: reason });
    else if (good) done.push({ name, result: 'ok', found });
    else done.push({ name, result: 'fault', code: FAULTS[name], found, next: await next() });
  }
  return done;
}

async function gpuChecks(settings) {
  if (!settings.runsVllm) return [{ name: 'GPU', unless: 'vLLM is not run here' }];
  const { venvDir } = settings;
  const python = join(venvDir, 'bin/python');
  const hasVenv = isExecutable(python);
  const { gpus, error, missing } = await findGpus();
  const probe = hasVenv ? await runProbe(python) : {};
  const remake = async () =>
    `Make the venv anew: rm -r ${venvDir} && ${await howToMakeVenv(settings)}`;
  return [
    {
      name: 'venv',
      good: hasVenv,
      found: hasVenv ? `${venvDir}, Python ${probe.python ?? '?'}` : `no ${python}`,
      next: async () => `Make it: ${await howToMakeVenv(settings)}`,
    },
    {
      name: 'nvidia-smi',
      good: !missing,
      found: missing ? error : 'found',
      next: () => 'Install the NVIDIA driver; in a container, start it with --gpus all.',
    },
    {
      name: 'GPU',
      needs: 'nvidia-smi',
      good: gpus !== undefined,
      found: gpus?.join('; ') ?? error,
      next: () =>
        'Run nvidia-smi by hand: driver and kernel module may differ, or the container has no GPU.',
    },
    {
      name: 'torch',
      needs: 'venv',
      good: Boolean(probe.torch),
      found: probe.torch ?? probe.error,
      next: remake,
    },
    {
      name: 'CUDA torch',
      needs: 'torch',
      good: Boolean(probe.cuda),
      found: probe.cuda ? `for CUDA ${probe.cuda}` : 'for the CPU only',
      next: remake,
    },
    {
      name: 'CUDA 12',
      needs: 'CUDA torch',
      good: /^12\./.test(probe.cuda ?? ''),
      found: `torch is for CUDA ${probe.cuda}`,
      next: async () => `With TORCH_BACKEND=cu128 set: ${await remake()}`,
    },
    {
      name: 'torch sees GPU',
      needs: 'CUDA torch',
      good: probe.usable,
      found: probe.usable ? 'yes' : 'torch.cuda.is_available() is false',
      next: () =>
        'The driver may be older than torch needs, or CUDA_VISIBLE_DEVICES hides the GPU.',
    },
    {
      name: 'NVRTC',
      needs: 'CUDA torch',
      good: Boolean(probe.nvrtc),
      found: probe.nvrtc ?? 'libnvrtc is not found',
      next: () => `${join(venvDir, 'bin/pip')} install nvidia-cuda-nvrtc-cu12`,
    },
    { name: 'vLLM', needs: 'venv', ...vllmState(settings, probe), next: remake },
  ];
}

async function runProbe(python) {
  const { text, error } = await output(python, [PROBE], { timeoutMs: PROBE_TIMEOUT_MS });
  if (text === undefined) return { error };
  // Libraries print what they like before it.
  return parseObject(text.split('\n').at(-1)) ?? { error: 'the probe printed no result' };
}

function vllmState({ venvDir }, { vllm }) {
  const command = given('VLLM_COMMAND');
  if (command) return { unless: `VLLM_COMMAND is ${command}` };
  const runs = isExecutable(join(venvDir, 'bin/vllm'));
  const good = Boolean(vllm) && runs && !isOlder(vllm, LEAST_VLLM);
  const found = vllm ? `${vllm}${runs ? '' : ', but no bin/vllm'}` : 'not in the venv';
  return { good, found: good ? found : `${found} (${LEAST_VLLM} or newer is needed)` };
}

function isOlder(version, least) {
  const numbers = (text) => text.split('.').map((part) => Number.parseInt(part, 10) || 0);
  const wanted = numbers(least);
  const found = numbers(version);
  const at = wanted.findIndex((number, index) => number !== (found[index] ?? 0));
  return at >= 0 && (found[at] ?? 0) < wanted[at];
}

async function hostChecks(settings) {
  const packages = nodeModulesMatchLock();
  const redis = settings.redisUrl === undefined ? redisServer() : 'REDIS_URL is set';
  const taken = await takenPorts(settings);
  return [
    {
      name: 'API key',
      good: Boolean(settings.apiKey),
      found: `VOXTRAL_API_KEY is ${settings.apiKey ? '' : 'not '}set`,
      next: () => 'export VOXTRAL_API_KEY="$(openssl rand -hex 24)"',
    },
    {
      name: 'npm packages',
      good: packages,
      found: packages ? 'as locked' : 'not as locked',
      next: () => '`npm ci`; `npm run gpu -- start` does it too.',
    },
    {
      name: 'Redis',
      good: redis !== undefined,
      found: redis ?? 'no redis-server on PATH',
      next: () => HOW_TO_GET_REDIS,
    },
    {
      name: 'ports',
      unless: isAlive(readPidFile(settings)) ? 'the servers are running' : undefined,
      good: taken.length === 0,
      found: taken.length === 0 ? 'free' : `taken: ${taken.join(', ')}`,
      next: () => 'End that program (`ss -ltnp` names it), or set other ports.',
    },
  ];
}

const COLOURS = { ok: 'green', fault: 'red', skipped: 'dim' };

function show(checks) {
  const rows = checks.map(({ name, result, found }) => [
    name,
    paint(COLOURS[result], result),
    found,
  ]);
  console.log(table(['check', 'result', 'found'], rows));
  const faults = checks.filter(({ result }) => result === 'fault');
  if (faults.length > 0) console.log('\nWhat to do next:');
  for (const { name, code, next } of faults) console.log(`  ${name} (exit code ${code}): ${next}`);
}
