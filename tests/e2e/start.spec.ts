import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { readdirSync, readFileSync } from 'node:fs';
import type { AddressInfo } from 'node:net';
import { createServer } from 'node:net';
import { fileURLToPath } from 'node:url';
import { afterEach, describe, expect, it } from '@jest/globals';

const REPO = fileURLToPath(new URL('../..', import.meta.url));

/** One living process; `since` tells it from a later one with the same id. */
interface Process {
  readonly pid: string;
  readonly parent: string;
  readonly since: string;
}

interface Started {
  readonly child: ChildProcess;
  /** Every process seen below `child`, however it has detached itself since. */
  readonly family: Map<string, Process>;
  readonly port: number;
  stdout: string;
  stderr: string;
  readonly closed: Promise<number | null>;
}

const all: Started[] = [];

async function start(...args: string[]): Promise<Started> {
  const port = await freePort();
  const child = spawn(process.execPath, ['scripts/start.mjs', '--port', String(port), ...args], {
    cwd: REPO,
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  const closed = once(child, 'close').then(([code]) => code as number | null);
  const started: Started = { child, family: new Map(), port, stdout: '', stderr: '', closed };
  child.stdout.setEncoding('utf8').on('data', (text: string) => {
    started.stdout += text;
  });
  child.stderr.setEncoding('utf8').on('data', (text: string) => {
    started.stderr += text;
  });
  const watch = setInterval(() => recordFamily(started), 50);
  void closed.then(() => clearInterval(watch));
  all.push(started);
  return started;
}

async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  server.close();
  await once(server, 'close');
  return port;
}

/** All living processes of this machine, from /proc; one that has ended and waits for its parent is not. */
function livingProcesses(): Process[] {
  return readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name))
    .flatMap((pid) => {
      try {
        // `pid (name) state ppid …`, the 22nd field being the start time.
        const fields = readFileSync(`/proc/${pid}/stat`, 'utf8')
          .replace(/^.*\) /s, '')
          .split(' ');
        if (fields[0] === 'Z') return [];
        return [{ pid, parent: fields[1] ?? '', since: fields[19] ?? '' }];
      } catch {
        return [];
      }
    });
}

function recordFamily({ child, family }: Started): void {
  const living = livingProcesses();
  let found = [String(child.pid)];
  while (found.length > 0) {
    const members = living.filter(({ parent }) => found.includes(parent));
    for (const member of members) family.set(member.pid, member);
    found = members.map(({ pid }) => pid);
  }
}

function left({ family }: Started): Process[] {
  return livingProcesses().filter(({ pid, since }) => family.get(pid)?.since === since);
}

async function until(condition: () => boolean, what: string, timeoutMs: number): Promise<void> {
  const deadline = Date.now() + timeoutMs;
  while (!condition()) {
    if (Date.now() > deadline) throw new Error(`not within ${timeoutMs} ms: ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
}

describe('npm start', () => {
  afterEach(async () => {
    for (const { child, closed } of all.splice(0)) {
      if (child.exitCode === null) child.kill('SIGKILL');
      await closed;
    }
  });

  it('recognises its recording, says how to go on, and leaves nothing behind', async () => {
    const started = await start('--once', '--json');
    expect(await started.closed).toBe(0);
    const result = JSON.parse(started.stdout) as Record<string, string>;
    expect(result['url']).toBe(`http://127.0.0.1:${started.port}`);
    expect(result['reference']).toBe('he might even have been made amiable himself');
    expect(result['transcript']).toMatch(/\w+ \w+/);
    expect(started.stderr).toContain(`recognised  ${result['transcript']}`);
    expect(started.stderr).toContain('production is Voxtral on vLLM');
    expect(started.family.size).toBeGreaterThanOrEqual(5);
    expect(left(started)).toEqual([]);
  }, 120_000);

  it('serves until Ctrl+C, and then stops within 15 seconds', async () => {
    const started = await start('--no-demo');
    await until(() => started.stderr.includes('Ctrl+C stops everything'), 'ready', 90_000);
    expect((await fetch(`http://127.0.0.1:${started.port}/readyz`)).status).toBe(200);
    expect(left(started).length).toBeGreaterThanOrEqual(4);
    started.child.kill('SIGINT');
    await until(() => started.child.exitCode !== null, 'stopped', 15_000);
    expect(started.child.exitCode).toBe(0);
    expect(left(started)).toEqual([]);
  }, 120_000);

  it('leaves nothing behind when it is killed outright', async () => {
    const started = await start('--no-demo');
    await until(() => started.stderr.includes('Ctrl+C stops everything'), 'ready', 90_000);
    started.child.kill('SIGKILL');
    await until(() => left(started).length === 0, 'all processes gone', 15_000);
  }, 120_000);

  it('names a free port when its own is taken', async () => {
    const server = createServer().listen(0, '127.0.0.1');
    await once(server, 'listening');
    const { port } = server.address() as AddressInfo;
    const started = await start('--port', String(port));
    expect(await started.closed).toBe(1);
    expect(started.stderr).toMatch(/taken: run `SERVER_PORT=\d+ npm start`/);
    server.close();
  }, 30_000);
});
