import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { until } from './until.ts';

const REPO = fileURLToPath(new URL('../..', import.meta.url));
/** Compiling on start takes two seconds when the machine is idle. */
const PATIENCE_MS = 60_000;

type Line = Record<string, unknown>;

/** What can be started: its entry among the sources, and in a compiled copy (tests/chaos/compile.ts). */
const ENTRIES = {
  gateway: ['services/gateway/src/main.ts', 'services/gateway/dist/main.js'],
  'asr-worker': ['services/asr-worker/src/main.ts', 'services/asr-worker/dist/main.js'],
  'llm-tts': ['services/llm-tts/src/main.ts', 'services/llm-tts/dist/main.js'],
  vllm: ['tests/chaos/processes/vllm.ts', 'tests/chaos/processes/vllm.js'],
} as const;

/** A real service in a process of its own, on free ports; it ends with this process. */
export class ServiceProcess implements AsyncDisposable {
  readonly child: ChildProcess;
  /** Everything it wrote, a JSON object a line; what is not one stands as `{ text }`. */
  readonly lines: Line[] = [];
  readonly exited: Promise<number | null>;
  /** It has ended, and everything it wrote is in `lines`. */
  #allRead = false;

  /** From its source, unless there is a folder with a compiled copy: that starts in half the time. */
  constructor(service: keyof typeof ENTRIES, env: Record<string, string>, compiledRoot?: string) {
    const [source, compiled] = ENTRIES[service];
    const program =
      compiledRoot === undefined
        ? ['--conditions=source', '--import', 'tsx', source]
        : [join(compiledRoot, compiled)];
    this.child = spawn(process.execPath, program, {
      cwd: REPO,
      env: {
        PATH: process.env['PATH'],
        VF_EXIT_WITH_PARENT: '1',
        SERVER_PORT: '0',
        INTERNAL_PORT: '0',
        WORKER_PORT: '0',
        LLM_TTS_PORT: '0',
        SERVER_BIND_HOST: '127.0.0.1',
        INTERNAL_BIND_HOST: '127.0.0.1',
        WORKER_BIND_HOST: '127.0.0.1',
        LLM_TTS_BIND_HOST: '127.0.0.1',
        ...env,
      },
    });
    for (const stream of [this.child.stdout, this.child.stderr]) {
      if (stream) createInterface({ input: stream }).on('line', (line) => this.#read(line));
    }
    this.exited = once(this.child, 'close').then(([code]) => {
      this.#allRead = true;
      return code as number | null;
    });
  }

  /** The first line about this event. */
  async logged(event: string): Promise<Line> {
    const find = (): Line | undefined => this.lines.find((line) => line['event'] === event);
    await until(() => find() !== undefined || this.#allRead, `${event} is logged`, PATIENCE_MS);
    const line = find();
    if (line === undefined) {
      const { spawnargs, exitCode, signalCode } = this.child;
      const how = `${spawnargs.at(-1)} ended (${exitCode ?? signalCode}) without ${event}`;
      throw new Error(`${how}: ${JSON.stringify(this.lines)}`);
    }
    return line;
  }

  /** Neither exited nor killed. One that is stopped by a signal lives. */
  get isAlive(): boolean {
    return this.child.exitCode === null && this.child.signalCode === null;
  }

  async kill(signal: NodeJS.Signals): Promise<void> {
    this.child.kill(signal);
    await this.exited;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (this.isAlive) await this.kill('SIGKILL');
  }

  #read(line: string): void {
    try {
      this.lines.push(JSON.parse(line) as Line);
    } catch {
      this.lines.push({ text: line });
    }
  }
}
