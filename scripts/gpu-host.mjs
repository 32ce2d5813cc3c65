import { env } from 'node:process';
import { parseArgs } from 'node:util';
import { doctor } from './lib/gpu-host/doctor.mjs';
import { nuke, nukeTargets } from './lib/gpu-host/nuke.mjs';
import { readSettings, SettingError, yes } from './lib/gpu-host/settings.mjs';
import { checkKey, start } from './lib/gpu-host/start.mjs';
import { status } from './lib/gpu-host/status.mjs';
import { stop } from './lib/gpu-host/stop.mjs';
import { follow } from './lib/gpu-host/tail.mjs';
import { warmup } from './lib/gpu-host/warmup.mjs';
import { paint, say } from './lib/output.mjs';

const USAGE = 64;
const GUARDED = 2;

const JSON_OPTION = { json: { type: 'boolean', default: false } };

const COMMANDS = {
  start: {
    summary: 'check the host, start everything in the background, follow the log',
    help: `Starts vLLM, Redis, a speech worker and the gateway in the background, waits until they are ready and
follows their log. Ctrl+C ends only the following. A server that ends before all are ready stops the start: its
last lines are shown, exit code 1. One that ends later is started again, after pauses of 1 to 60 s.

  VOXTRAL_API_KEY     the key that clients must send; needed
  TAIL_LOGS           0 returns as soon as all is ready (default 1)
  HEALTH_TIMEOUT_S    time until all must be ready (default 600)
  HEALTH_URL          what is asked for that (default: the gateway's /readyz)
  SERVER_BIND_HOST, SERVER_PORT                  the gateway (default 0.0.0.0, 8000)
  WORKER_PORT, VLLM_PORT, REDIS_PORT             on 127.0.0.1 (default 8200, 8300, 6379)
  GATEWAY_INTERNAL_PORT, WORKER_INTERNAL_PORT    metrics (default 9100, 9200)
  INTERNAL_BIND_HOST  address of the metrics (default 127.0.0.1)
  REDIS_URL           a Redis to use; none is started then
  VLLM_BASE_URL       a vLLM elsewhere; none is started then
  ASR_ENGINE          the worker's engine (default vllm); with another one vLLM is not started
  RUN_VLLM            1 or 0: start vLLM here, whatever the two above say
  VENV_DIR, VOXTRAL_MODEL_DIR    default .venv and models/voxtral in the checkout
  TORCH_BACKEND, PYTORCH_CUDA_INDEX_URL, VLLM_WHEEL_URL, VLLM_WHEEL_INDEX_URL
                                                           for the command that makes the venv
  LOG_MAX_MB          the log never gets larger (default 100)
All other variables reach the servers: see docs/configuration.md.`,
    run: (settings) => start(settings),
  },
  stop: {
    summary: 'stop everything; --nuke also deletes venv, model and log',
    help: `Ends the servers in order: SIGTERM, and SIGKILL for what is left after STOP_TIMEOUT_S (default 10).
Exit code 0, also when nothing runs.

  --nuke    delete venv, model, log and run folder as well (FULL_CLEANUP=1 means the same). Only with NUKE=1 in the
            environment; else, and when a folder does not look like what it should be, nothing is stopped or
            deleted: exit code 2.`,
    options: { nuke: { type: 'boolean', default: false } },
    run: runStop,
  },
  restart: {
    summary: 'stop and start',
    help: `The same as stop and then start, with the environment of now. Takes the variables of both.`,
    run: async (settings) => {
      // Better noticed while the servers are still up.
      checkKey(settings);
      const code = await stop(settings);
      return code === 0 ? await start(settings) : code;
    },
  },
  status: {
    summary: 'what runs, since when, ready or not, slots',
    help: `Exit code 0 when the servers run, 1 when they ended in a way that left something (stale), 3 when they do not run.

  --json    one JSON object on stdout`,
    options: JSON_OPTION,
    run: status,
  },
  doctor: {
    summary: 'check the host and say what to do',
    help: `Checks everything and prints a table. Exit code 0, or that of the first fault:
   1 no venv         4 not CUDA 12      7 no torch            10 no API key      13 a port is taken
   2 no nvidia-smi   5 no NVRTC         8 torch sees no GPU   11 npm packages
   3 CPU torch       6 no GPU           9 no vLLM, or old     12 no Redis

  --json    one JSON object on stdout`,
    options: JSON_OPTION,
    run: doctor,
  },
  tail: {
    summary: 'follow the log',
    help: `Prints the last lines of the log and follows it until Ctrl+C. The servers are left alone.

  --lines N    how many of the last lines (default 50)`,
    options: { lines: { type: 'string', default: '50' } },
    run: (settings, { lines }) => {
      if (!/^\d{1,9}$/.test(lines))
        throw new UsageError(`--lines takes a whole number, not "${lines}".`);
      return follow(settings, { lines: Number(lines) });
    },
  },
  warmup: {
    summary: 'one recording through this host, then eight at a time',
    help: `Runs the client's \`warmup\` and then its \`bench\` against this host. Exit code 0 when all was transcribed.

  --n N              sessions of the bench (default 8)
  --concurrency N    sessions at a time (default 8)
  --file PATH        a recording of your own
  --speed FACTOR     2 is twice as fast as speech`,
    options: {
      n: { type: 'string' },
      concurrency: { type: 'string' },
      file: { type: 'string' },
      speed: { type: 'string' },
    },
    run: warmup,
  },
};

const HELP = `npm run gpu -- COMMAND [options]

Runs voice-fleet on one GPU host without Kubernetes.

${Object.entries(COMMANDS)
  .map(([name, { summary }]) => `  ${name.padEnd(9)}${summary}`)
  .join('\n')}

VF_RUN_DIR (default .run in the checkout) holds log, pid file and state; SERVER_LOG_FILE and SERVER_PID_FILE move two
of them. Every command explains itself with --help.`;

class UsageError extends Error {}

async function main([name, ...args]) {
  if (name === undefined || name === '--help' || name === '-h' || name === 'help') {
    console.log(HELP);
    return name === undefined ? USAGE : 0;
  }
  const command = Object.hasOwn(COMMANDS, name) ? COMMANDS[name] : undefined;
  if (command === undefined) throw new UsageError(`There is no command "${name}".\n\n${HELP}`);
  const values = parse(name, command, args);
  if (values.help) {
    console.log(`npm run gpu -- ${name} [options]\n\n${command.help}`);
    return 0;
  }
  if (process.platform !== 'linux') {
    throw new SettingError('This needs Linux: a process is told from a later one by /proc.');
  }
  return await command.run(readSettings(), values);
}

function parse(name, { options = {} }, args) {
  try {
    const help = { type: 'boolean', short: 'h', default: false };
    return parseArgs({ args, options: { ...options, help } }).values;
  } catch (error) {
    throw new UsageError(`${error.message}\nSee \`npm run gpu -- ${name} --help\`.`);
  }
}

async function runStop(settings, options) {
  if (!options.nuke && !yes('FULL_CLEANUP', false)) return await stop(settings);
  if (env.NUKE !== '1') {
    say(
      `--nuke deletes ${settings.venvDir}, ${settings.modelDir} and ${settings.runDir}: run it with NUKE=1 if you mean it. Nothing was stopped or deleted.`,
    );
    return GUARDED;
  }
  let targets;
  try {
    targets = nukeTargets(settings);
  } catch (error) {
    say(paint('red', error.message));
    return GUARDED;
  }
  const code = await stop(settings);
  // Under servers that do not end nothing is deleted.
  if (code === 0) nuke(targets);
  return code;
}

main(process.argv.slice(2)).then(
  (code) => {
    process.exitCode = code;
    // Output on its way into a pipe is not cut off; nothing else may keep us.
    process.stdout.write('', () => process.exit());
  },
  (error) => {
    const expected = error instanceof SettingError || error instanceof UsageError;
    say(paint('red', expected ? error.message : error.stack));
    process.exit(error instanceof UsageError ? USAGE : 1);
  },
);
