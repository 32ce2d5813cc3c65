import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { createInterface } from 'node:readline';

/** What runs in a container, in terms of this host. */
export interface Program {
  readonly argv: readonly string[];
  readonly env: Readonly<Record<string, string>>;
  readonly cwd: string;
}

export interface Exit {
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
}

const RUNNING = new Set<ContainerProcess>();
process.on('exit', () => {
  // A test that fails leaves nothing behind.
  for (const each of RUNNING) each.signal('SIGKILL');
});

/** One run of a program: it leads a process group of its own, which goes with it. */
export class ContainerProcess {
  /** Settles when it has ended and all that it wrote was told. Never rejects. */
  readonly exited: Promise<Exit>;
  readonly #child: ChildProcess;

  constructor({ argv, env, cwd }: Program, onLine: (line: string) => void) {
    const [file = '', ...args] = argv;
    this.#child = spawn(file, args, { cwd, env, detached: true });
    RUNNING.add(this);
    for (const stream of [this.#child.stdout, this.#child.stderr])
      if (stream) createInterface({ input: stream }).on('line', onLine);
    this.#child.stdin?.on('error', () => undefined);
    this.exited = this.#end(onLine);
  }

  /** The process alone gets it, as process 1 of a container; SIGKILL is for all that it has started. */
  signal(signal: NodeJS.Signals): void {
    const { pid } = this.#child;
    if (pid === undefined) return;
    try {
      process.kill(signal === 'SIGKILL' ? -pid : pid, signal);
    } catch {
      // It is gone.
    }
  }

  async #end(onLine: (line: string) => void): Promise<Exit> {
    try {
      const [code, signal] = (await once(this.#child, 'close')) as [number, NodeJS.Signals];
      return { code, signal };
    } catch (error) {
      onLine(String(error));
      return { code: 128, signal: null };
    } finally {
      RUNNING.delete(this);
      this.signal('SIGKILL');
    }
  }
}
