import { randomUUID } from 'node:crypto';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { env } from 'node:process';
import { fileURLToPath } from 'node:url';
import { tell } from './output.mjs';
import { repoRoot } from './paths.mjs';
import { answersOk, freePort, poll, redisAnswers } from './ports.mjs';

const READY_TIMEOUT_MS = 60_000;
const WITH_PARENT = fileURLToPath(new URL('with-parent.mjs', import.meta.url));

/** Runs one of our TypeScript programs without a build. */
export const FROM_SOURCE = ['--conditions=source', '--import', 'tsx'];

/** The parts of a fleet that a command starts on this machine, each on free loopback ports and reading our sources. */
export class LocalFleet {
  /** Rejects when one of them ends by itself. */
  crash;
  #fail;
  #processes;
  #system;
  #command;
  #jobsFolder;

  /** @param system as ensureSystem tells it
   * @param command what the user has typed, for advice */
  constructor(processes, system, command) {
    this.#processes = processes;
    this.#system = system;
    this.#command = command;
    this.crash = new Promise((_, reject) => {
      this.#fail = reject;
    });
    // Awaited only in races, the first of which may come after the crash.
    this.crash.catch(() => {});
  }

  start(name, args, settings) {
    const child = this.#processes.start(name, process.execPath, args, {
      cwd: repoRoot,
      env: { VF_EXIT_WITH_PARENT: '1', LOG_LEVEL: env.LOG_LEVEL || 'info', ...settings },
    });
    child.exited.then(({ code, signal }) => this.#fail(new Error(ended(child, code ?? signal))));
  }

  /** An own Redis that keeps nothing; returns its URL. */
  async startRedis() {
    const port = await freePort();
    // It saves nothing, but would load a dump.rdb it finds: hence a file name that is not there.
    const flags = `--port ${port} --bind 127.0.0.1 --appendonly no --dir ${tmpdir()} --dbfilename ${randomUUID()}`;
    const { redisServer, env: settings } = this.#system;
    this.start('redis', [WITH_PARENT, redisServer, ...flags.split(' '), '--save', ''], settings);
    await this.ready('redis', `redis://127.0.0.1:${port}`, () => redisAnswers(port));
    return `redis://127.0.0.1:${port}`;
  }

  /** Where gateway and workers keep recordings of batch jobs. It lasts as long as the Redis that knows of them. */
  get jobsFolder() {
    if (env.JOBS_DIR) return env.JOBS_DIR;
    if (env.REDIS_URL) return join(repoRoot, '.cache/jobs');
    if (this.#jobsFolder === undefined) {
      const folder = mkdtempSync(join(tmpdir(), 'voice-fleet-jobs-'));
      process.on('exit', () => rmSync(folder, { recursive: true, force: true }));
      this.#jobsFolder = folder;
    }
    return this.#jobsFolder;
  }

  /** A speech worker; it is ready when its `readyUrl` says so. */
  async startWorker(name, redisUrl) {
    const port = await freePort();
    const internalPort = await freePort();
    this.start(name, [...FROM_SOURCE, 'services/asr-worker/src/main.ts'], {
      ASR_ENGINE: env.ASR_ENGINE || 'pocketsphinx',
      BATCH_JOBS_MAX: env.BATCH_JOBS_MAX || '2',
      INTERNAL_BIND_HOST: '127.0.0.1',
      INTERNAL_PORT: String(internalPort),
      JOBS_DIR: this.jobsFolder,
      REDIS_URL: redisUrl,
      WORKER_BIND_HOST: '127.0.0.1',
      WORKER_HOST: '127.0.0.1',
      WORKER_PORT: String(port),
    });
    const readyUrl = `http://127.0.0.1:${internalPort}/readyz`;
    return { name, job: 'asr-worker', internalPort, readyUrl };
  }

  /** What makes replies, on `url`; it is ready when its `readyUrl` says so. */
  async startLlmTts(redisUrl) {
    const name = 'llm-tts';
    const port = await freePort();
    const internalPort = await freePort();
    this.start(name, [...FROM_SOURCE, 'services/llm-tts/src/main.ts'], {
      INTERNAL_BIND_HOST: '127.0.0.1',
      INTERNAL_PORT: String(internalPort),
      LLM_TTS_BIND_HOST: '127.0.0.1',
      LLM_TTS_PORT: String(port),
      REDIS_URL: redisUrl,
    });
    const readyUrl = `http://127.0.0.1:${internalPort}/readyz`;
    return { name, job: name, internalPort, url: `http://127.0.0.1:${port}`, readyUrl };
  }

  /** Resolves when `probe` says yes; rejects when it never does, or a part has ended meanwhile. */
  async ready(name, url, probe = () => answersOk(url)) {
    const onWait = (seconds) => tell('start', `waiting for ${name} (${seconds} s)`);
    const polled = poll(probe, { timeoutMs: READY_TIMEOUT_MS, onWait });
    if ((await Promise.race([polled, this.crash])) === false) {
      throw new Error(
        `${name} is not ready after ${READY_TIMEOUT_MS / 1_000} s (${url}): see its lines above, or try LOG_LEVEL=debug ${this.#command}.`,
      );
    }
    tell('start', `${name} is ready`);
  }
}

export function ended({ name, lastLines }, how) {
  return `${name} ended by itself (${how}). Its last lines:\n${lastLines.map((line) => `  ${line}`).join('\n')}`;
}

/** An address for clients on this machine. */
export function reachable(bindHost) {
  if (bindHost === '0.0.0.0' || bindHost === '::') return '127.0.0.1';
  return bindHost.includes(':') ? `[${bindHost}]` : bindHost;
}
