import { execFile } from 'node:child_process';
import { accessSync, constants } from 'node:fs';
import { delimiter, join } from 'node:path';
import { env } from 'node:process';
import { promisify } from 'node:util';
import { parseObject } from '../output.mjs';
import { repoRoot } from '../paths.mjs';
import { isFree } from '../ports.mjs';
import { given } from './settings.mjs';

/** Runs one of our TypeScript programs without a build. */
export const FROM_SOURCE = ['--conditions=source', '--import', 'tsx'];
export const VLLM_LAUNCHER = 'services/asr-worker/src/cli/vllm.ts';

/** The program of this name that a shell would run, or undefined. */
export function onPath(name) {
  return (env.PATH ?? '')
    .split(delimiter)
    .filter(Boolean)
    .map((folder) => join(folder, name))
    .find(isExecutable);
}

export function isExecutable(path) {
  try {
    accessSync(path, constants.X_OK);
    return true;
  } catch {
    return false;
  }
}

/** Redis or Valkey, or undefined. */
export function redisServer() {
  return onPath('redis-server') ?? onPath('valkey-server');
}

export const HOW_TO_GET_REDIS =
  'run `sudo apt-get install -y redis-server` and set REDIS_URL=redis://127.0.0.1:6379, or name another Redis in REDIS_URL';

/** Runs a short command; its output, or an error with what it wrote. Never longer than `timeoutMs`. */
export async function output(command, args, { timeoutMs }) {
  try {
    const { stdout } = await promisify(execFile)(command, args, {
      cwd: repoRoot,
      timeout: timeoutMs,
      killSignal: 'SIGKILL',
    });
    return { text: stdout.trim() };
  } catch (error) {
    const late = error.killed ? `no answer in ${timeoutMs / 1_000} s` : undefined;
    const [line] = `${error.stderr || error.stdout || error.message}`.trim().split('\n').slice(-1);
    return { error: late ?? line };
  }
}

/** A driver that hangs must not hang us. */
const SMI_TIMEOUT_MS = 15_000;

/** What nvidia-smi says: `{ gpus: ['NVIDIA L40S, 46068 MiB'] }`, or `{ error, missing }` where `missing` is no nvidia-smi. */
export async function findGpus() {
  const smi = onPath('nvidia-smi');
  if (smi === undefined) return { error: 'nvidia-smi is not on PATH', missing: true };
  const query = ['--query-gpu=name,memory.total', '--format=csv,noheader'];
  const { text, error } = await output(smi, query, { timeoutMs: SMI_TIMEOUT_MS });
  if (text === undefined) return { error: `nvidia-smi: ${error}` };
  const gpus = text.split('\n').filter((line) => /, *\d/.test(line));
  return gpus.length > 0 ? { gpus } : { error: 'nvidia-smi lists no GPU' };
}

/** Where `vllm` comes from when the launcher runs it, or undefined when there is none. */
export function findVllm({ venvDir }) {
  if (given('VLLM_COMMAND')) return `VLLM_COMMAND (${given('VLLM_COMMAND')})`;
  const own = join(venvDir, 'bin/vllm');
  return isExecutable(own) ? own : onPath('vllm');
}

/** vLLM's recipe for this model asks for it. */
export const LEAST_VLLM = '0.20.0';

const LAUNCHER_TIMEOUT_MS = 60_000;

/**
 * One line for a shell that makes the venv with vLLM in it, what to know before as a comment at its end. What to install is
 * the launcher's to say, as it depends on the driver. It is TypeScript: without npm packages this says how to get them.
 */
export async function howToMakeVenv({ venvDir }) {
  const wheel = [...FROM_SOURCE, VLLM_LAUNCHER, 'wheel', '--json'];
  const { text, error } = await output(process.execPath, wheel, { timeoutMs: LAUNCHER_TIMEOUT_MS });
  const { command: words, notes = [] } = parseObject(text ?? '') ?? {};
  if (!Array.isArray(words)) return `npm ci && npm run gpu -- doctor   # asking failed: ${error}`;
  const bin = join(venvDir, 'bin');
  const commands = [
    ['python3', '-m', 'venv', venvDir],
    [join(bin, 'pip'), 'install', 'uv'],
    // `uv pip install …`
    [join(bin, 'uv'), 'pip', 'install', '--python', join(bin, 'python'), ...words.slice(3)],
  ];
  const line = commands.map((command) => command.map(quoted).join(' ')).join(' && ');
  return [line, ...notes].join('   # ');
}

/** Variables of ports that we need and somebody else listens on, as `SERVER_PORT 8000`. */
export async function takenPorts({ ports, bindHost, redisUrl, runsVllm }) {
  const needed = [
    ['SERVER_PORT', ports.gateway, bindHost],
    ['GATEWAY_INTERNAL_PORT', ports.gatewayInternal],
    ['WORKER_PORT', ports.worker],
    ['WORKER_INTERNAL_PORT', ports.workerInternal],
    ...(runsVllm ? [['VLLM_PORT', ports.vllm]] : []),
    ...(redisUrl === undefined ? [['REDIS_PORT', ports.redis]] : []),
  ];
  const taken = [];
  for (const [name, port, host = '127.0.0.1'] of needed) {
    if (!(await isFree(port, host))) taken.push(`${name} ${port}`);
  }
  return taken;
}

function quoted(text) {
  return /^[\w./:@%+=-]+$/.test(text) ? text : `'${text.replaceAll("'", `'\\''`)}'`;
}
