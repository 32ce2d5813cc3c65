import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { Redis } from 'ioredis';
import { freePort } from './ports.ts';

/** A redis-server of one's own, without persistence. */
export interface TestRedis {
  readonly url: string;
  readonly port: number;
  /** Ends the server and removes its folder. */
  stop(): Promise<void>;
  /** Ends the server without a word to its clients; the port stays reserved for `restart`. */
  kill(): Promise<void>;
  /** Kills it if it runs and starts it again on the same port, empty. */
  restart(): Promise<void>;
  /** Stops the process where it is: connections stay open and nothing is answered, as on a hung host. */
  freeze(): void;
  thaw(): void;
}

/** `settings` are redis.conf names and values, on top of our own. */
export async function startRedis(settings: Record<string, string> = {}): Promise<TestRedis> {
  const folder = await mkdtemp(join(tmpdir(), 'vf-redis-'));
  const args = { bind: '127.0.0.1', dir: folder, save: '', appendonly: 'no', ...settings };
  const first = await startOnFreePort(args);
  const { port } = first;
  let { server } = first;
  // A crashed test run must not leave servers behind.
  const killNow = (): void => void server.kill('SIGKILL');
  process.on('exit', killNow);

  return {
    url: `redis://127.0.0.1:${port}`,
    port,
    async stop() {
      process.off('exit', killNow);
      await end(server);
      await rm(folder, { recursive: true, force: true });
    },
    kill: () => end(server),
    async restart() {
      await end(server);
      server = await launch(args, port);
    },
    freeze: () => void server.kill('SIGSTOP'),
    thaw: () => void server.kill('SIGCONT'),
  };
}

type Settings = Readonly<Record<string, string>>;

/** Another process may take the port between our look and the start of the server, hence the retries. */
async function startOnFreePort(args: Settings): Promise<{ server: ChildProcess; port: number }> {
  for (let triesLeft = 5; ; triesLeft--) {
    const port = await freePort();
    try {
      return { server: await launch(args, port), port };
    } catch (error) {
      if (triesLeft === 1) throw error;
    }
  }
}

async function launch(settings: Settings, port: number): Promise<ChildProcess> {
  const args = Object.entries({ ...settings, port: String(port) }).flatMap(([name, value]) => [
    `--${name}`,
    value,
  ]);
  const server = spawn('redis-server', args, { stdio: ['ignore', 'pipe', 'ignore'] });
  const lines: string[] = [];
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject);
    server.once('exit', () =>
      reject(new Error(`redis-server did not start:\n${lines.join('\n')}`)),
    );
    createInterface({ input: server.stdout }).on('line', (line) => {
      if (lines.length < 50) lines.push(line);
      if (line.includes('Ready to accept connections')) resolve();
    });
  });
  server.removeAllListeners('exit');
  await expectPong(port);
  return server;
}

/** The log line comes before the first accept; the connection retries until the answer is there. */
async function expectPong(port: number): Promise<void> {
  const client = new Redis(port, '127.0.0.1', { maxRetriesPerRequest: 3 });
  client.on('error', () => undefined);
  try {
    await client.ping();
  } finally {
    client.disconnect();
  }
}

async function end(server: ChildProcess): Promise<void> {
  if (server.exitCode !== null || server.signalCode !== null) return;
  const exited = once(server, 'exit');
  server.kill('SIGKILL');
  await exited;
}
