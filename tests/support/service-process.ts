import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { until } from './fleet.ts';

const REPO = fileURLToPath(new URL('../..', import.meta.url));
/** Compiling on start takes two seconds when the machine is idle. */
const PATIENCE_MS = 60_000;

type Line = Record<string, unknown>;

/** A real service in a process of its own, on free ports; it ends with this process. */
export class ServiceProcess implements AsyncDisposable {
  readonly child: ChildProcess;
  /** Everything it wrote, a JSON object a line; what is not one stands as `{ text }`. */
  readonly lines: Line[] = [];
  readonly exited: Promise<number | null>;

  constructor(service: 'gateway' | 'asr-worker', env: Record<string, string>) {
    const main = `services/${service}/src/main.ts`;
    this.child = spawn(process.execPath, ['--conditions=source', '--import', 'tsx', main], {
      cwd: REPO,
      env: {
        PATH: process.env['PATH'],
        VF_EXIT_WITH_PARENT: '1',
        SERVER_PORT: '0',
        INTERNAL_PORT: '0',
        WORKER_PORT: '0',
        SERVER_BIND_HOST: '127.0.0.1',
        INTERNAL_BIND_HOST: '127.0.0.1',
        WORKER_BIND_HOST: '127.0.0.1',
        ...env,
      },
    });
    for (const stream of [this.child.stdout, this.child.stderr]) {
      if (stream) createInterface({ input: stream }).on('line', (line) => this.#read(line));
    }
    this.exited = once(this.child, 'close').then(([code]) => code as number | null);
  }

  /** The first line about this event. */
  async logged(event: string): Promise<Line> {
    const find = (): Line | undefined => this.lines.find((line) => line['event'] === event);
    await until(
      () => find() !== undefined || this.child.exitCode !== null,
      `${event} is logged`,
      PATIENCE_MS,
    );
    const line = find();
    if (line === undefined)
      throw new Error(`ended without ${event}: ${JSON.stringify(this.lines)}`);
    return line;
  }

  async kill(signal: NodeJS.Signals): Promise<void> {
    this.child.kill(signal);
    await this.exited;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (this.child.exitCode === null && this.child.signalCode === null) await this.kill('SIGKILL');
  }

  #read(line: string): void {
    try {
      this.lines.push(JSON.parse(line) as Line);
    } catch {
      this.lines.push({ text: line });
    }
  }
}
