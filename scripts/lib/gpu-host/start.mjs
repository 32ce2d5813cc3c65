import { spawn } from 'node:child_process';
import { env } from 'node:process';
import { setTimeout as delay } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { ensureNodeModules } from '../node-modules.mjs';
import { paint, say, tell } from '../output.mjs';
import { repoRoot } from '../paths.mjs';
import { isAlive } from './identity.mjs';
import { makeRunFolder, readPidFile, readState, TAKEN } from './run-files.mjs';
import { SettingError } from './settings.mjs';
import { clearRemnants } from './stop.mjs';
import { follow } from './tail.mjs';
import {
  findGpus,
  findVllm,
  HOW_TO_GET_REDIS,
  howToMakeVenv,
  redisServer,
  takenPorts,
} from './tools.mjs';

const SUPERVISOR = fileURLToPath(new URL('supervisor.mjs', import.meta.url));
const STEPS = 7;
const LOOK_MS = 200;
const PROGRESS_MS = 5_000;

/** Starts everything in seven steps and follows the log; returns the exit code. */
export async function start(settings) {
  const running = readPidFile(settings);
  if (isAlive(running)) return refuse(running.pid);
  checkKey(settings);
  // What a killed supervisor has left would hold our ports.
  await clearRemnants(settings);
  await checkPorts(settings);
  step(1, `environment is complete; run folder ${settings.runDir}`);
  step(2, await gpuNote(settings));
  step(3, await vllmFound(settings));
  await ensureNodeModules();
  checkRedis(settings);
  step(4, 'npm packages are as locked');

  const { child, exited } = launch(settings);
  step(5, `started in the background (pid ${child.pid}); log ${settings.logFile}`);
  const outcome = await watch(settings, child.pid, exited);
  if (outcome.kind === 'left') {
    say(
      `\nIt goes on starting in the background: \`npm run gpu -- status\`, \`npm run gpu -- stop\`.`,
    );
    return 0;
  }
  if (outcome.kind === 'taken') return refuse(readPidFile(settings)?.pid);
  if (outcome.kind === 'failed') return failed(outcome.failure, settings);
  step(6, `ready at http://${settings.address}`);
  if (!settings.tailLogs) {
    step(
      7,
      'no tail (TAIL_LOGS=0): `npm run gpu -- tail` follows the log, `stop` ends the servers',
    );
    return 0;
  }
  step(7, 'following the log; Ctrl+C ends only this, the servers stay up');
  return await follow(settings, { lines: 0 });
}

/** What start, restart and warmup need before anything that runs may be touched. */
export function checkKey({ apiKey }) {
  if (apiKey) return;
  throw new SettingError(
    'VOXTRAL_API_KEY is not set, and without it every client would be rejected. Set it, for instance: ' +
      'export VOXTRAL_API_KEY="$(openssl rand -hex 24)"',
  );
}

function step(number, text) {
  tell(`[${number}/${STEPS}]`, text, 'cyan');
}

function refuse(pid) {
  say(`Already running (pid ${pid}): \`npm run gpu -- status\`, \`restart\` or \`stop\`.`);
  return 1;
}

async function checkPorts(settings) {
  const taken = await takenPorts(settings);
  if (taken.length === 0) return;
  const redis = taken.some((name) => name.startsWith('REDIS_PORT'))
    ? ' If it is a Redis that this host may use, set REDIS_URL.'
    : '';
  throw new SettingError(
    `Taken by another program: ${taken.join(', ')}. Set other ports or end that program.${redis}`,
  );
}

async function gpuNote({ runsVllm }) {
  if (!runsVllm) return 'no GPU needed: vLLM is not run here';
  const { gpus, error } = await findGpus();
  if (gpus) return `GPU: ${gpus.join('; ')}`;
  return paint('yellow', `no GPU seen (${error}); going on, \`npm run gpu -- doctor\` says more`);
}

async function vllmFound(settings) {
  if (!settings.runsVllm) return 'vLLM is not run here';
  const vllm = findVllm(settings);
  if (vllm) return `vLLM: ${vllm}`;
  // The one who knows the command is a TypeScript program of ours.
  await ensureNodeModules();
  const command = await howToMakeVenv(settings);
  throw new SettingError(
    `There is no vllm in ${settings.venvDir} or on PATH. Make it with:\n  ${command}`,
  );
}

function checkRedis({ redisUrl }) {
  if (redisUrl !== undefined || redisServer() !== undefined) return;
  throw new SettingError(`There is no redis-server on PATH: ${HOW_TO_GET_REDIS}.`);
}

/** The supervisor leads a session of its own, so that neither Ctrl+C nor the end of this terminal reaches it. */
function launch(settings) {
  makeRunFolder(settings);
  const child = spawn(process.execPath, [SUPERVISOR], {
    cwd: repoRoot,
    env,
    stdio: ['ignore', 'ignore', 'pipe'],
    detached: true,
  });
  let stderr = '';
  child.stderr.setEncoding('utf8').on('data', (text) => {
    stderr = (stderr + text).slice(-4_096);
  });
  const exited = new Promise((resolve) => {
    child.on('error', (error) => resolve({ code: 1, stderr: error.message }));
    child.on('exit', (code) => resolve({ code, stderr }));
  });
  return { child, exited };
}

/** Shows what is waited for until the servers are ready or have failed, or until Ctrl+C. */
async function watch(settings, pid, exited) {
  let ended;
  exited.then((how) => {
    ended = how;
  });
  let left = false;
  const leave = () => {
    left = true;
  };
  for (const name of ['SIGINT', 'SIGTERM', 'SIGHUP']) process.on(name, leave);
  try {
    const started = performance.now();
    let toldAt = started;
    while (!left) {
      const over = ended;
      const state = readState(settings);
      const own = state?.supervisor.pid === pid ? state : undefined;
      if (over?.code === TAKEN) return { kind: 'taken' };
      if (own?.phase === 'ready') return { kind: 'ready' };
      if (over) return { kind: 'failed', failure: own?.failure ?? crashed(over) };
      if (performance.now() - toldAt > PROGRESS_MS) {
        toldAt = performance.now();
        const seconds = Math.round((toldAt - started) / 1_000);
        const limit = settings.healthTimeoutMs / 1_000;
        const names = own?.waitingFor.join(', ') || 'the servers';
        step(6, `waiting for ${names} (${seconds} of ${limit} s)`);
      }
      await delay(LOOK_MS);
    }
    return { kind: 'left' };
  } finally {
    for (const name of ['SIGINT', 'SIGTERM', 'SIGHUP']) process.off(name, leave);
  }
}

function crashed({ code, stderr }) {
  return {
    name: 'the supervisor',
    how: `ended by itself (${code})`,
    lines: stderr.trim().split('\n'),
  };
}

function failed({ name, how, lines }, { logFile }) {
  say(paint('red', `${name}: ${how}. Its last lines:`));
  for (const line of lines) say(`  ${line}`);
  say(`Everything was stopped. The whole log is ${logFile}.`);
  return 1;
}
