import { randomBytes } from 'node:crypto';
import { realpathSync } from 'node:fs';
import { env } from 'node:process';
import { parseArgs } from 'node:util';
import { FROM_SOURCE, LocalFleet, reachable } from './lib/local-fleet.mjs';
import { ensureNodeModules } from './lib/node-modules.mjs';
import { condense, paint, say, tell } from './lib/output.mjs';
import { repoRoot } from './lib/paths.mjs';
import { describe, portHolder } from './lib/port-holder.mjs';
import { freePort, isFree, poll } from './lib/ports.mjs';
import { Processes } from './lib/processes.mjs';
import { untilStopped } from './lib/stop.mjs';
import { ensureSystem } from './lib/system.mjs';

const HELP = `npm run lean [-- options]

Starts speech to text alone, with the lean protocol, and a page to try it: a lean gateway, and behind it an own
Redis and a speech worker, or with REDIS_URL the fleet that is there. An older one on the same port is ended
first; whoever else holds it is left alone. Ctrl+C stops everything.

  --port N   the port (default: PORT, or 8100)
  --help     print this

Environment: PORT, SERVER_BIND_HOST (default 127.0.0.1), REDIS_URL, MODEL_WHISPER (the name told to clients), SAVE_DIR
(keeps final transcripts there), STREAM_DEBUG=1 (debug events), VOXTRAL_API_KEY (default: none is needed on this machine),
ASR_ENGINE, LOG_LEVEL.`;

const ENTRY = 'services/gateway/src/lean-main.ts';
const COMMAND = 'scripts/lean.mjs';
const LOOPBACK = new Set(['127.0.0.1', 'localhost', '::1']);
/** As long as a gateway takes to stop at the most, and its launcher after it. */
const STOP_TIMEOUT_MS = 30_000;
const COLOURS = { redis: 'magenta', lean: 'cyan' };

async function main() {
  const options = readOptions();
  if (options.help) {
    console.log(HELP);
    return 0;
  }
  await ensureNodeModules();
  const system = env.REDIS_URL ? undefined : await ensureSystem();
  await takePort(options);
  const processes = new Processes((name, line) => {
    if (name !== 'redis') tell(name, condense(line), COLOURS[name] ?? 'blue');
  });
  try {
    return await untilStopped(processes, () => serve(processes, options, system));
  } finally {
    await processes.stopAll();
  }
}

/** As in the services, an empty variable counts as unset. */
function readOptions() {
  let values;
  try {
    ({ values } = parseArgs({
      options: {
        port: { type: 'string', default: env.PORT || '8100' },
        help: { type: 'boolean', default: false },
      },
    }));
  } catch (error) {
    throw new Error(`${error.message}\nSee \`npm run lean -- --help\`.`);
  }
  const port = Number(values.port);
  if (!Number.isInteger(port) || port < 1 || port > 65_535)
    throw new Error(`--port takes a whole number from 1 to 65535, not "${values.port}".`);
  const bindHost = env.SERVER_BIND_HOST || '127.0.0.1';
  const local = LOOPBACK.has(bindHost);
  const madeKey = local ? '' : `vf_local_${randomBytes(18).toString('base64url')}`;
  const apiKey = env.VOXTRAL_API_KEY || madeKey;
  return { help: values.help, port, bindHost, apiKey, open: apiKey === '' };
}

/** Makes sure that the port is free: of an older process of this command, but of nobody else. */
async function takePort({ port, bindHost }) {
  if (await isFree(port, bindHost)) return;
  const holder = portHolder(port);
  if (!holder || !isOurs(holder, ENTRY)) {
    const who = holder ? ` by process ${holder.pid} (${holder.command[0]})` : '';
    throw new Error(
      `Port ${port} on ${bindHost} is held${who}, which is no lean gateway of this folder: run \`PORT=${port + 1} npm run lean\`.`,
    );
  }
  // Its launcher stops it and all that it needed; alone, it stops by itself.
  const launcher = describe(holder.parent);
  const { pid } = launcher && isOurs(launcher, COMMAND) ? launcher : holder;
  tell('start', `ending the lean gateway that holds port ${port} (process ${pid})`);
  process.kill(pid, 'SIGTERM');
  const freed = await poll(() => isFree(port, bindHost), { timeoutMs: STOP_TIMEOUT_MS });
  if (freed === false) throw new Error(`Process ${pid} still holds port ${port}: end it by hand.`);
}

/** Whether a process runs this program, from this copy of it. */
function isOurs({ command, folder }, program) {
  const runs = command.some((part) => part === program || part.endsWith(`/${program}`));
  return runs && folder === realpathSync(repoRoot);
}

async function serve(processes, { port, bindHost, apiKey, open }, system) {
  const fleet = new LocalFleet(processes, system, 'npm run lean');
  const redisUrl = env.REDIS_URL || (await fleet.startRedis());
  const worker = env.REDIS_URL ? undefined : await fleet.startWorker('worker', redisUrl);
  // Last, so that it stops first.
  fleet.start('lean', [...FROM_SOURCE, ENTRY], {
    INTERNAL_BIND_HOST: '127.0.0.1',
    INTERNAL_PORT: String(await freePort()),
    LEAN_OPEN: open ? '1' : '0',
    PORT: String(port),
    REDIS_URL: redisUrl,
    SERVER_BIND_HOST: bindHost,
    STREAM_SAVE_DIR: env.SAVE_DIR || env.STREAM_SAVE_DIR || '',
    VOXTRAL_API_KEY: apiKey,
  });
  const address = `http://${reachable(bindHost)}:${port}`;
  await fleet.ready('lean', `${address}/health`);
  if (worker) await fleet.ready(worker.name, worker.readyUrl);
  const row = (label, value) => say(`  ${paint('dim', label.padEnd(12))}${value}`);
  say();
  say(paint('bold', '  the lean gateway is running'));
  row('page', address);
  row('socket', `${address.replace('http', 'ws')}/ws`);
  row('API key', open ? 'none is needed' : env.VOXTRAL_API_KEY ? 'yours' : apiKey);
  row('try', `curl ${address}/transcribe -F file=@speech.wav`);
  say();
  say('  Ctrl+C stops everything.');
  say();
  await fleet.crash;
  return 0;
}

main().then(
  (code) => process.exit(code),
  (error) => {
    say(paint('red', error.message));
    process.exit(1);
  },
);
