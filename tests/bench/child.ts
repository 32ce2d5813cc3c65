import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { setTimeout as delay } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { ChildMessage, type ChildRequest } from './messages.ts';
import { which } from './which.ts';

const REPO_ROOT = fileURLToPath(new URL('../../', import.meta.url));
/** Runs one of our TypeScript programs without a build. */
export const FROM_SOURCE = ['--conditions=source', '--import', 'tsx'];

const ANSWER_TIMEOUT_MS = 30_000;
const STOP_TIMEOUT_MS = 5_000;
const KEPT_CHARS = 2_000;

export interface ChildOptions {
  readonly name: string;
  readonly command: string;
  readonly args: readonly string[];
  readonly env?: Readonly<Record<string, string>>;
  /** Alone on this core. */
  readonly core?: number | undefined;
  /** Whether it answers requests. */
  readonly ipc?: boolean;
}

type MessageOf<K> = Extract<ChildMessage, { kind: K }>;

const running = new Set<Child>();
let closed = false;
// The last resort, whatever ends this process.
process.on('exit', () => {
  for (const child of running) child.kill();
});

/** A process of the benchmark. It does not outlive us: it is killed when we exit, and by itself when we are killed. */
export class Child {
  readonly pid: number;
  readonly #name: string;
  readonly #process: ChildProcess;
  readonly #exited: Promise<unknown>;
  /** Rejects when the process fails or ends before `stop`. */
  readonly #failure: Promise<never>;
  readonly #inbox: ChildMessage[] = [];
  #onMessage: (() => void) | undefined;
  #output = '';
  #stopping = false;

  constructor({ name, command, args, env, core, ipc = false }: ChildOptions) {
    if (closed) throw new Error(`${name} was not started: everything is being stopped`);
    this.#name = name;
    // Each of these replaces itself by the next, so that the pid is the program's own.
    const setpriv = which('setpriv');
    const line = [
      ...(setpriv ? [setpriv, '--pdeathsig', 'KILL'] : []),
      ...(core === undefined ? [] : ['taskset', '-c', String(core)]),
      command,
      ...args,
    ];
    this.#process = spawn(line[0] ?? command, line.slice(1), {
      cwd: REPO_ROOT,
      env: { ...process.env, ...env },
      // A group of its own: Ctrl+C reaches only us.
      detached: true,
      stdio: ['pipe', 'pipe', 'pipe', ...(ipc ? ['ipc' as const] : [])],
    });
    this.pid = this.#process.pid ?? 0;
    running.add(this);
    const keep = (chunk: Buffer): void => {
      this.#output = (this.#output + chunk.toString()).slice(-KEPT_CHARS);
    };
    this.#process.stdout?.on('data', keep);
    this.#process.stderr?.on('data', keep);
    this.#process.stdin?.on('error', () => undefined);
    this.#exited = once(this.#process, 'exit').finally(() => running.delete(this));
    this.#exited.catch(() => undefined);
    this.#failure = this.#watch();
    this.#failure.catch(() => undefined);
  }

  /** One of our programs under tests/bench/processes; it talks over the IPC channel. */
  static program(
    file: string,
    args: readonly string[],
    { core, nodeArgs = [] }: { core?: number | undefined; nodeArgs?: readonly string[] } = {},
  ): Child {
    return new Child({
      name: file,
      command: process.execPath,
      args: [...nodeArgs, ...FROM_SOURCE, `tests/bench/processes/${file}`, ...args],
      core,
      ipc: true,
    });
  }

  /** Asks for something and waits for an answer of that kind; asks are not to overlap. */
  async request<K extends ChildMessage['kind']>(
    request: ChildRequest,
    kind: K,
  ): Promise<MessageOf<K>> {
    this.#process.send(request);
    return this.message(kind);
  }

  /** The next message of the process. */
  async message<K extends ChildMessage['kind']>(kind: K): Promise<MessageOf<K>> {
    const arrived = new Promise<void>((resolve) => {
      this.#onMessage = resolve;
    });
    if (this.#inbox.length === 0) await this.orFail(arrived);
    const message = this.#inbox.shift();
    if (message?.kind !== kind) throw this.#error(`said ${message?.kind} instead of ${kind}`);
    return message as MessageOf<K>;
  }

  /** Waits for `work`, but not longer than 30 s and not when the process ends. */
  async orFail<T>(work: Promise<T>, timeoutMs = ANSWER_TIMEOUT_MS): Promise<T> {
    const timer = new AbortController();
    const late = delay(timeoutMs, undefined, { signal: timer.signal }).then(() => {
      throw this.#error(`gave no answer within ${timeoutMs / 1000} s`);
    });
    late.catch(() => undefined);
    try {
      return await Promise.race([work, this.#failure, late]);
    } finally {
      timer.abort();
    }
  }

  /** Asks it to end, kills it if it does not. */
  async stop(): Promise<void> {
    if (this.#stopping || !running.has(this)) return;
    this.#stopping = true;
    this.#process.kill('SIGTERM');
    const timer = setTimeout(() => this.kill(), STOP_TIMEOUT_MS);
    await this.#exited.catch(() => undefined);
    clearTimeout(timer);
  }

  kill(): void {
    this.#process.kill('SIGKILL');
  }

  #watch(): Promise<never> {
    return new Promise((_, reject) => {
      this.#process.on('error', (error) => reject(this.#error(error.message)));
      // `close` comes after everything it printed was read.
      this.#process.on('close', (code, signal) => {
        if (!this.#stopping) reject(this.#error(`ended by itself (${code ?? signal})`));
      });
      this.#process.on('message', (message) => {
        // Others are tsx's own: it tells every parent what it has loaded.
        const parsed = ChildMessage.safeParse(message);
        if (!parsed.success) return;
        if (parsed.data.kind === 'failed') return reject(this.#error(parsed.data.message));
        this.#inbox.push(parsed.data);
        this.#onMessage?.();
      });
    });
  }

  #error(what: string): Error {
    return new Error(`${this.#name} ${what}${this.#output && `\n${this.#output.trimEnd()}`}`);
  }
}

/** Ends all that run, the last started first; none can be started any more. */
export async function stopChildren(): Promise<void> {
  closed = true;
  for (const child of [...running].reverse()) await child.stop();
}
