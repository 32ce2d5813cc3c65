import { type ChildProcess, fork } from 'node:child_process';
import { availableParallelism } from 'node:os';
import { fileURLToPath } from 'node:url';
import type { FromChild, ToChild } from './messages.ts';

export interface ChildListener {
  onMessage(message: FromChild): void;
  /** Once, however it came to its end; says how. */
  onExit(how: string): void;
}

/** One forked decoding process. */
export class SphinxChild {
  readonly #process: ChildProcess;
  readonly #exited: Promise<void>;

  constructor(listener: ChildListener) {
    const extension = import.meta.url.endsWith('.ts') ? '.ts' : '.js';
    const entry = fileURLToPath(new URL(`./child${extension}`, import.meta.url));
    const child = fork(entry, {
      // `tsx` is found from here, whatever folder the worker was started in.
      cwd: fileURLToPath(new URL('.', import.meta.url)),
      execArgv: extension === '.ts' ? ['--conditions=source', '--import', 'tsx'] : [],
      serialization: 'advanced',
      stdio: ['ignore', 'ignore', 'inherit', 'ipc'],
      env: {
        ...process.env,
        // More threads than cores thrash the caches: 0.15 -> 0.22 cores for each talker.
        UV_THREADPOOL_SIZE: String(availableParallelism()),
        OPENBLAS_NUM_THREADS: '1',
      },
    });
    this.#process = child;
    this.#exited = new Promise<void>((resolve) => {
      const over = (how: string): void => {
        resolve();
        listener.onExit(how);
      };
      child.once('exit', (code, signal) => over(signal ?? `exit code ${code}`));
      // The process could not be started, or a message not sent. In the second case `exit` follows the kill.
      child.once('error', (error) => (child.pid ? this.kill() : over(error.message)));
    });
    child.on('message', (message) => listener.onMessage(message as FromChild));
  }

  get pid(): number | undefined {
    return this.#process.pid;
  }

  send(message: ToChild): void {
    // A lost message shows as the exit that lost it.
    if (this.#process.connected) this.#process.send(message, () => {});
  }

  /** Without farewell: the process holds nothing worth saving. */
  kill(): void {
    this.#process.kill('SIGKILL');
  }

  /** Kills it and settles when it is gone. */
  async killed(): Promise<void> {
    this.kill();
    await this.#exited;
  }
}
