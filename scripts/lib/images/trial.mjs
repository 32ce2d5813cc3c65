import { LocalFleet } from '../local-fleet.mjs';
import { answersOk, freePort, poll } from '../ports.mjs';
import { ensureSystem } from '../system.mjs';
import { withFiles } from './buildah.mjs';
import { Contained } from './contained.mjs';
import { IMAGES } from './parts.mjs';

const READY_TIMEOUT_MS = 90_000;
const SMOKE_S = 60;
const API_KEY = 'check-images-only';
/** What each image must be, whatever else it is. */
const USER = '1000:1000';
const WRITES = ['/app', '/tmp', '/var/lib/voice-fleet', '/usr'];

/** Runs what was built; gives each result again, failed where the image does not do what it must. */
export async function tryImages(built, processes, attempt) {
  if (built.length === 0) return [];
  const find = (name) => built.find((one) => one.name === name);
  const services = built.filter(({ name }) => IMAGES[name].serves);
  const fleet = services.length > 0 ? await startRedis(processes) : undefined;
  const running = new Map();
  const judged = new Map(built.map((one) => [one.name, one]));
  const judge = async (name, work) => {
    const before = judged.get(name);
    if (before.outcome !== 'passed') return;
    const after = await attempt(name, work);
    judged.set(name, { ...before, ...after });
  };

  const within = async (rest) => {
    const [next, ...others] = rest;
    if (next !== undefined) {
      await withFiles(next.tag, async (root) => {
        running.set(next.name, { root, config: next.config });
        await judge(next.name, () => isRestricted(processes, next, root));
        if (IMAGES[next.name].serves)
          await judge(next.name, () =>
            startService(processes, next, running.get(next.name), fleet),
          );
        else if (next.name === 'vllm')
          await judge('vllm', () => runs(processes, next, root, ['--help']));
        await within(others);
      });
      return;
    }
    // Everything runs now that is to run.
    if (find('clients')) await judge('clients', () => hears(processes, find('clients'), running));
    for (const { name } of services) {
      if (judged.get(name).outcome !== 'passed') continue;
      await judge(name, async () => {
        const code = await running.get(name).program.stop();
        if (code !== 0) throw new Error(`ends with ${code} on SIGTERM`);
      });
    }
  };
  await within(built);
  return [...judged.values()];
}

async function startRedis(processes) {
  const system = await ensureSystem();
  return new LocalFleet(processes, system, 'check:images').startRedis();
}

/** The root must refuse every write, or a passed check would say nothing; and no shell may start. */
async function isRestricted(processes, { name, config }, root) {
  if (config.User !== USER) throw new Error(`runs as ${config.User}, not as ${USER}`);
  const missing = ['version', 'revision', 'source', 'licenses', 'title'].filter(
    (label) => config.Labels?.[`org.opencontainers.image.${label}`] === undefined,
  );
  if (missing.length > 0) throw new Error(`has no label ${missing.join(', ')}`);
  const script = `const { mkdtempSync } = require('node:fs');
    const codes = ${JSON.stringify(WRITES)}.map((folder) => {
      try { return mkdtempSync(folder + '/x'); } catch (error) { return error.code; }
    });
    const shell = require('node:child_process').spawnSync('/bin/sh', ['-c', 'true']).error?.code;
    console.log(JSON.stringify({ codes: codes.filter((code) => !['EROFS', 'ENOENT'].includes(code)), shell, pid: process.ppid, uid: process.getuid() }));`;
  const lines = [];
  const words = ['/usr/bin/tini', '--', 'node', '-e', script];
  const program = new Contained(processes, {
    name,
    root,
    config,
    words,
    stdout: (line) => lines.push(line),
  });
  await program.exited;
  const told = lines.join('\n');
  if (told !== JSON.stringify({ codes: [], shell: 'EACCES', pid: 1, uid: 1000 }))
    throw new Error(`is not confined: ${told || 'node does not start'}`);
}

async function startService(processes, { name, config }, place, redisUrl) {
  const [internal, port] = [await freePort(), await freePort()];
  place.port = port;
  const settings = {
    VF_EXIT_WITH_PARENT: '1',
    REDIS_URL: redisUrl,
    INTERNAL_PORT: String(internal),
    ...settingsOf(name, port),
  };
  place.program = new Contained(processes, { name, root: place.root, config, settings });
  const crash = place.program.crash();
  crash.catch(() => {});
  for (const path of ['/livez', '/readyz']) {
    const url = `http://127.0.0.1:${internal}${path}`;
    const answered = poll(() => answersOk(url), { timeoutMs: READY_TIMEOUT_MS });
    if ((await Promise.race([answered, crash])) === false)
      throw new Error(`${path} does not answer 200`);
  }
  const [, ...words] = config.Healthcheck.Test;
  const health = new Contained(processes, { name, root: place.root, config, settings, words });
  const { code } = await health.exited;
  if (code !== 0) throw new Error('its health check says that it is ill');
}

function settingsOf(name, port) {
  switch (name) {
    case 'gateway':
      return { SERVER_PORT: String(port), VOXTRAL_API_KEY: API_KEY, JOBS_ENABLED: 'false' };
    case 'asr-worker':
      return { WORKER_PORT: String(port), ASR_ENGINE: 'pocketsphinx', BATCH_JOBS_MAX: '0' };
    default:
      return { LLM_TTS_PORT: String(port) };
  }
}

/** Two seconds of speech through gateway and worker, all three from images. Without these two: that it starts. */
async function hears(processes, { name, config }, running) {
  const { root } = running.get(name);
  const gateway = running.get('gateway');
  if (gateway?.program === undefined || running.get('asr-worker')?.program === undefined)
    return runs(processes, { name, config }, root);
  const settings = { VOXTRAL_SERVER: `127.0.0.1:${gateway.port}`, VOXTRAL_API_KEY: API_KEY };
  return runs(
    processes,
    { name, config },
    root,
    ['smoke', '--timeout', String(SMOKE_S), '--strict'],
    settings,
  );
}

async function runs(processes, { name, config }, root, args, settings) {
  const lines = [];
  const stdout = (line) => lines.push(line);
  const program = new Contained(processes, { name, root, config, args, settings, stdout });
  const { code } = await program.exited;
  if (code !== 0) throw new Error(`ends with ${code}: ${lines.slice(-5).join(' / ')}`);
}
