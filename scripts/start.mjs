import { randomBytes } from 'node:crypto';
import { env } from 'node:process';
import { parseArgs } from 'node:util';
import { ended, FROM_SOURCE, LocalFleet, reachable } from './lib/local-fleet.mjs';
import { ensureNodeModules } from './lib/node-modules.mjs';
import { condense, paint, parseObject, say, tell } from './lib/output.mjs';
import { repoRoot } from './lib/paths.mjs';
import { freePort, isFree } from './lib/ports.mjs';
import { Processes } from './lib/processes.mjs';
import { demoRecording } from './lib/recording.mjs';
import { untilStopped } from './lib/stop.mjs';
import { ensureSystem } from './lib/system.mjs';

const HELP = `npm start [-- options]

Starts Redis, the gateway and a speech worker in this terminal, plays one recording through them and
prints what was recognised. Ctrl+C stops everything. Installs first what this machine lacks.

  --port N      the gateway's port (default: SERVER_PORT, or 8000)
  --workers N   how many speech workers (default: 1)
  --no-demo     play no recording
  --once        exit after the recording, 0 if it was recognised
  --json        print the result as one JSON object on stdout; everything else goes to stderr
  --help        print this

Environment: SERVER_PORT, SERVER_BIND_HOST (default 127.0.0.1), VOXTRAL_API_KEY (default: a new one),
REDIS_URL (default: an own Redis that keeps nothing), ASR_ENGINE, LOG_LEVEL.`;

const DEMO_TIMEOUT_MS = 60_000;
const COLOURS = { redis: 'magenta', gateway: 'cyan', demo: 'green' };

async function main() {
  const options = readOptions();
  if (options.help) {
    console.log(HELP);
    return 0;
  }
  await ensureNodeModules();
  const system = await ensureSystem({ needRedis: !env.REDIS_URL });
  await checkPort(options);

  const processes = new Processes((name, line) => {
    // Redis talks about itself only; should it fail, its last lines are shown then.
    if (name === 'redis') return;
    tell(name, condense(line), COLOURS[name] ?? 'blue');
  });
  try {
    return await untilStopped(processes, () => serve(processes, { options, system }));
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
        port: { type: 'string', default: env.SERVER_PORT || '8000' },
        workers: { type: 'string', default: '1' },
        'no-demo': { type: 'boolean', default: false },
        once: { type: 'boolean', default: false },
        json: { type: 'boolean', default: false },
        help: { type: 'boolean', default: false },
      },
    }));
  } catch (error) {
    throw new Error(`${error.message}\nSee \`npm start -- --help\`.`);
  }
  return {
    ...values,
    demo: !values['no-demo'],
    port: wholeNumber('--port', values.port, 65_535),
    workers: wholeNumber('--workers', values.workers, 64),
    bindHost: env.SERVER_BIND_HOST || '127.0.0.1',
    // A key for one run, unless the caller brings one.
    apiKey: env.VOXTRAL_API_KEY || `vf_local_${randomBytes(18).toString('base64url')}`,
  };
}

function wholeNumber(name, text, max) {
  const value = Number(text);
  if (!Number.isInteger(value) || value < 1 || value > max) {
    throw new Error(`${name} takes a whole number from 1 to ${max}, not "${text}".`);
  }
  return value;
}

async function checkPort({ port, bindHost }) {
  if (await isFree(port, bindHost)) return;
  let other = port + 1;
  while (other < 65_535 && !(await isFree(other, bindHost))) other += 1;
  throw new Error(`Port ${port} on ${bindHost} is taken: run \`SERVER_PORT=${other} npm start\`.`);
}

/** Starts everything, plays the recording, and stays until a child ends; ends by itself with `--once`. */
async function serve(processes, { options, system }) {
  const started = performance.now();
  const fleet = new LocalFleet(processes, system, 'npm start');
  const { crash } = fleet;
  const redisUrl = env.REDIS_URL || (await fleet.startRedis());
  const internalPort = await freePort();
  const workers = [];
  for (let index = 1; index <= options.workers; index += 1)
    workers.push(await fleet.startWorker(`worker-${index}`, redisUrl));
  // Last, so that it stops first: sessions end before the workers that serve them.
  fleet.start('gateway', [...FROM_SOURCE, 'services/gateway/src/main.ts'], {
    INTERNAL_BIND_HOST: '127.0.0.1',
    INTERNAL_PORT: String(internalPort),
    REDIS_URL: redisUrl,
    SERVER_BIND_HOST: options.bindHost,
    SERVER_PORT: String(options.port),
    VOXTRAL_API_KEY: options.apiKey,
  });
  const address = `${reachable(options.bindHost)}:${options.port}`;
  await fleet.ready('gateway', `http://${address}/readyz`);
  for (const worker of workers) await fleet.ready(worker.name, worker.readyUrl);
  const result = { url: `http://${address}`, apiKey: options.apiKey, readyMs: since(started) };
  if (options.demo) {
    Object.assign(
      result,
      await Promise.race([playRecording(processes, options, system, address), crash]),
    );
  }
  if (options.json) console.log(JSON.stringify(result));
  printSummary(result, options);
  if (!options.once) await crash;
  return 0;
}

/** Plays one recording through the gateway with the client's own command line, as any caller would. */
async function playRecording(processes, options, system, address) {
  const recording = demoRecording(system.sampleDir);
  tell('demo', `streaming ${recording.name}`, 'green');
  const client = [...FROM_SOURCE, 'packages/client/src/cli/main.ts', 'warmup', '--json'];
  let recognised;
  const transcript = new Promise((resolve) => {
    recognised = resolve;
  });
  const child = processes.start(
    'demo',
    process.execPath,
    [...client, '--server', address, '--file', recording.path],
    {
      cwd: repoRoot,
      env: { VOXTRAL_API_KEY: options.apiKey },
      stdout: (line) => {
        const { text } = parseObject(line) ?? {};
        if (text) recognised(text);
      },
    },
  );
  const timer = setTimeout(() => child.child.kill('SIGKILL'), DEMO_TIMEOUT_MS);
  // The transcript is what counts, not how soon the client ends after it.
  const text = await Promise.race([transcript, child.exited.then(() => undefined)]);
  clearTimeout(timer);
  if (!text) {
    const { code, signal } = await child.exited;
    throw new Error(`The recording was not recognised. ${ended(child, code ?? signal)}`);
  }
  return { recording: recording.name, reference: recording.reference, transcript: text };
}

function printSummary(result, options) {
  const given = Boolean(env.VOXTRAL_API_KEY);
  const row = (label, value) => say(`  ${paint('dim', label.padEnd(12))}${value}`);
  const server = options.port === 8000 ? '' : ` --server ${new URL(result.url).host}`;
  const client = `VOXTRAL_API_KEY=${given ? '"$VOXTRAL_API_KEY"' : result.apiKey} npm run client --`;
  say();
  say(paint('bold', '  voice-fleet is running'));
  row('gateway', result.url);
  row('API key', given ? 'yours, from VOXTRAL_API_KEY' : result.apiKey);
  if (result.transcript) {
    say();
    row('recording', result.recording);
    row('spoken', result.reference);
    row('recognised', paint('green', result.transcript));
    say();
    say('  This is the built-in demonstration engine (word error rate near 40 % on open speech);');
    say('  production is Voxtral on vLLM.');
  }
  if (options.once) return;
  say();
  row('try', `${client} warmup${server}`);
  row('', `${client} bench${server}`);
  row('', `curl ${result.url}/health`);
  say();
  say(`  Ctrl+C stops everything.`);
  say();
}

function since(started) {
  return Math.round(performance.now() - started);
}

main().then(
  (code) => process.exit(code),
  (error) => {
    say(paint('red', error.message));
    process.exit(1);
  },
);
