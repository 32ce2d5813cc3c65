import { type ChildProcess, spawn } from 'node:child_process';
import { constants } from 'node:os';

/** How a program came to its end. */
export type Ended =
  | { readonly kind: 'ended'; readonly exitCode: number }
  /** There is no such program, or it may not be run. */
  | { readonly kind: 'missing'; readonly why: string };

const SIGNALS = ['SIGTERM', 'SIGINT', 'SIGHUP'] as const;
type Stop = (typeof SIGNALS)[number];

/**
 * Runs programs one after another in the place of this process: signals are handed to the one that runs, and one that comes
 * in between ends this process. Made once; from then on the process does not die of these signals by itself.
 */
export class Foreground {
  #child: ChildProcess | undefined;
  #stoppedBy: Stop | undefined;

  /** With `withParent` the end of stdin counts as SIGTERM. */
  constructor(withParent: boolean) {
    for (const signal of SIGNALS) process.on(signal, () => this.#stop(signal));
    process.once('exit', () => this.#child?.kill('SIGTERM'));
    if (withParent) {
      const onGone = (): void => this.#stop('SIGTERM');
      process.stdin.on('end', onGone).on('error', onGone).resume();
    }
  }

  /** Exit code for a stop that was asked for, as a shell gives it; absent when none was. */
  get stopCode(): number | undefined {
    return this.#stoppedBy === undefined ? undefined : codeOf(this.#stoppedBy);
  }

  /** Settles when the program is gone. With `quiet` its stdout goes to stderr. */
  run(
    [command, ...args]: readonly [string, ...string[]],
    options: { readonly env: NodeJS.ProcessEnv; readonly quiet?: boolean },
  ): Promise<Ended> {
    return new Promise((resolve) => {
      const child = spawn(command, args, {
        env: options.env,
        stdio: ['ignore', options.quiet ? 2 : 'inherit', 'inherit'],
      });
      const over = (how: Ended): void => {
        this.#child = undefined;
        resolve(how);
      };
      // Also after a signal that could not be sent; then `exit` tells the end.
      child.on('error', (error) => {
        if (child.pid === undefined) over({ kind: 'missing', why: error.message });
      });
      child.once('exit', (code, signal) => {
        over({ kind: 'ended', exitCode: code ?? codeOf(signal ?? 'SIGKILL') });
      });
      this.#child = child;
    });
  }

  #stop(signal: Stop): void {
    this.#stoppedBy = signal;
    if (this.#child === undefined) process.exit(codeOf(signal));
    // Ctrl+C reaches every program of the terminal: a second one would make vLLM drop what it is closing.
    if (signal === 'SIGINT' && process.stdin.isTTY) return;
    this.#child.kill(signal);
  }
}

function codeOf(signal: NodeJS.Signals): number {
  return 128 + constants.signals[signal];
}
