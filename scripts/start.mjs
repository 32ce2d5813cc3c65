import { env } from 'node:process';
import { announceFleet } from './lib/fleet-file.mjs';
import { FROM_SOURCE, LocalFleet, reachable } from './lib/local-fleet.mjs';
import { ensureNodeModules } from './lib/node-modules.mjs';
import { condense, paint, say, tell } from './lib/output.mjs';
import { freePort } from './lib/ports.mjs';
import { Processes } from './lib/processes.mjs';
import { playDemos, prepareDemos } from './lib/start/demos.mjs';
import { checkPort, HELP, readOptions } from './lib/start/options.mjs';
import { printSummary } from './lib/start/summary.mjs';
import { untilStopped } from './lib/stop.mjs';
import { ensureSystem } from './lib/system.mjs';

const COLOURS = { redis: 'magenta', gateway: 'cyan', demo: 'green', voice: 'green' };

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

/** Starts everything, plays the demonstrations, and stays until a child ends; ends by itself with `--once`. */
async function serve(processes, { options, system }) {
  const started = performance.now();
  const address = `${reachable(options.bindHost)}:${options.port}`;
  const fleet = new LocalFleet(processes, system, 'npm start');
  const demos = options.demo ? prepareDemos(processes) : undefined;
  await startFleet(fleet, options, address);
  const readyMs = Math.round(performance.now() - started);
  const result = { url: `http://${address}`, apiKey: options.apiKey, readyMs };
  if (demos) {
    const played = playDemos(processes, { ...demos, options, system, address });
    Object.assign(result, await Promise.race([played, fleet.crash]));
  }
  if (options.json) console.log(JSON.stringify(result));
  printSummary(result, options);
  if (!options.once) await fleet.crash;
  return 0;
}

/** Returns when sessions can be opened at `address`. */
async function startFleet(fleet, options, address) {
  const redisUrl = env.REDIS_URL || (await fleet.startRedis());
  const parts = [];
  for (let index = 1; index <= options.workers; index += 1)
    parts.push(await fleet.startWorker(`worker-${index}`, redisUrl));
  const llmTts = await fleet.startLlmTts(redisUrl);
  const internalPort = await freePort();
  // Last, so that it stops first: sessions end before those that serve them.
  fleet.start('gateway', [...FROM_SOURCE, 'services/gateway/src/main.ts'], {
    INTERNAL_BIND_HOST: '127.0.0.1',
    INTERNAL_PORT: String(internalPort),
    JOBS_DIR: fleet.jobsFolder,
    LLM_TTS_URL: llmTts.url,
    REDIS_URL: redisUrl,
    SERVER_BIND_HOST: options.bindHost,
    SERVER_PORT: String(options.port),
    VOXTRAL_API_KEY: options.apiKey,
  });
  announceFleet([...parts, llmTts, { name: 'gateway', job: 'gateway', internalPort }]);
  await fleet.ready('gateway', `http://${address}/readyz`);
  for (const { name, readyUrl } of [...parts, llmTts]) await fleet.ready(name, readyUrl);
}

main().then(
  (code) => process.exit(code),
  (error) => {
    say(paint('red', error.message));
    process.exit(1);
  },
);
