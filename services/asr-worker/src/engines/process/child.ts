import { type ChildProcess, spawn } from 'node:child_process';
import type { Clock, Timer } from '@voice-fleet/runtime/clock';
import { PlainText } from './plain-text.ts';

/**
 * Audio goes to the process in such small parts. Node's pipes are local sockets, which count every write with its
 * overhead: before the next part waits, 9 kB fit in, 0.3 s of audio; with writes of 100 ms it would be 4.9 s. What waits
 * there nobody can see, so it makes word times wrong. Measured on Linux; it costs 3 ms of CPU for each second of audio.
 */
const PART_BYTES = 32;
/** A process told to go that is still there after this is killed. */
const TERMINATE_GRACE_MS = 1_000;
/** A dead process whose output is still open has left a process of its own behind. */
const CLOSE_GRACE_MS = 1_000;
/** The end of the input of a dying process is seen before its death. */
const INPUT_GRACE_MS = 100;
const STDERR_CHARS = 2_048;
const STDERR_LINE_CHARS = 200;

export interface ChildCommand {
  readonly binary: string;
  readonly args: readonly string[];
  /** The whole environment of the process; absent: the worker's own. */
  readonly env?: Readonly<Record<string, string>>;
}

/** How a process came to its end. */
export type ChildEnd =
  | { readonly kind: 'unstarted'; readonly how: string }
  | {
      readonly kind: 'exited';
      readonly code: number | null;
      /** The exit code or signal, with the last line of the error output. */
      readonly how: string;
    };

export interface ChildListener {
  /** Printed text, readable and in any pieces. */
  onText(text: string): void;
  /** Once, when the process is gone and all it printed was told. */
  onGone(end: ChildEnd): void;
}

/** A process that takes PCM on its input and prints text. */
export interface SpeechChild {
  /** Absent where it could not be started. */
  readonly pid: number | undefined;
  /** As known now: its last words may still be on their way. */
  readonly hasExited: boolean;
  /** Bytes in the pipe or through it. */
  readonly writtenBytes: number;
  /** Calls back when the process has taken it, or the pipe has; never when it fails, which `onGone` tells. One call at a time. */
  write(pcm: Buffer, onTaken: () => void): void;
  /** No more audio. */
  end(): void;
  /** Asks it to go at once, and kills it where it does not. */
  terminate(): void;
  kill(): void;
  /** Ends its input and kills it after `graceMs`; settles when it is gone. */
  stop(graceMs: number): Promise<void>;
}

/** Starts a process of its own process group, so that it takes with it what it started, and no Ctrl+C in a terminal. */
export class ProcessChild implements SpeechChild {
  readonly #clock: Clock;
  readonly #listener: ChildListener;
  readonly #text = new PlainText();
  readonly #gone: Promise<void>;
  #process: ChildProcess | undefined;
  #resolveGone: () => void = () => {};
  #isGone = false;
  #writtenBytes = 0;
  #stderr = '';
  /** What it was killed for. */
  #why: string | undefined;
  #killTimer: Timer | undefined;
  #closeTimer: Timer | undefined;
  #inputTimer: Timer | undefined;

  constructor(command: ChildCommand, clock: Clock, listener: ChildListener) {
    this.#clock = clock;
    this.#listener = listener;
    this.#gone = new Promise((resolve) => {
      this.#resolveGone = resolve;
    });
    try {
      this.#process = spawn(command.binary, command.args, {
        stdio: ['pipe', 'pipe', 'pipe'],
        detached: true,
        ...(command.env ? { env: { ...command.env } } : {}),
      });
    } catch (error) {
      // The listener's owner does not know its child yet.
      queueMicrotask(() => this.#over({ kind: 'unstarted', how: (error as Error).message }));
      return;
    }
    this.#watch(this.#process);
  }

  get pid(): number | undefined {
    return this.#process?.pid;
  }

  get writtenBytes(): number {
    return this.#writtenBytes;
  }

  get hasExited(): boolean {
    const { exitCode, signalCode } = this.#process ?? {};
    return this.#isGone || (exitCode ?? null) !== null || (signalCode ?? null) !== null;
  }

  write(pcm: Buffer, onTaken: () => void): void {
    const stdin = this.#process?.stdin;
    if (!stdin?.writable) return;
    const next = (from: number): void => {
      if (from >= pcm.length) return onTaken();
      const part = pcm.subarray(from, from + PART_BYTES);
      stdin.write(part, (error) => {
        if (error) return;
        this.#writtenBytes += part.length;
        next(from + part.length);
      });
    };
    next(0);
  }

  end(): void {
    this.#process?.stdin?.end();
  }

  terminate(): void {
    this.#signal('SIGTERM');
    this.#killAfter(TERMINATE_GRACE_MS);
  }

  kill(): void {
    this.#signal('SIGKILL');
  }

  async stop(graceMs: number): Promise<void> {
    this.end();
    this.#killAfter(graceMs);
    await this.#gone;
  }

  #watch(child: ChildProcess): void {
    child.stdout?.on('data', (bytes: Buffer) => {
      const text = this.#text.push(bytes);
      if (text !== '' && !this.#isGone) this.#listener.onText(text);
    });
    child.stderr?.setEncoding('utf8').on('data', (text: string) => {
      this.#stderr = (this.#stderr + text).slice(-STDERR_CHARS);
    });
    child.stdin?.on('error', () => {
      this.#inputTimer ??= this.#clock.after(INPUT_GRACE_MS, () => {
        if (this.hasExited) return;
        // A process that takes no more audio is of no use, even if it lives on.
        this.#why = 'it closed its input';
        this.terminate();
      });
    });
    child.stdout?.on('error', () => {});
    child.stderr?.on('error', () => {});
    child.once('error', (error) => {
      if (child.pid === undefined) this.#over({ kind: 'unstarted', how: error.message });
    });
    child.once('exit', () => {
      this.#killTimer?.cancel();
      if (this.#isGone) return;
      this.#closeTimer = this.#clock.after(CLOSE_GRACE_MS, () => {
        this.#signal('SIGKILL');
        this.#over(this.#exited(child));
      });
    });
    child.once('close', () => this.#over(this.#exited(child)));
  }

  #exited({ exitCode, signalCode }: ChildProcess): ChildEnd {
    const how = this.#why ?? signalCode ?? `exit code ${exitCode}`;
    const line = lastLine(this.#stderr);
    return { kind: 'exited', code: exitCode, how: line === '' ? how : `${how}: ${line}` };
  }

  #over(end: ChildEnd): void {
    if (this.#isGone) return;
    this.#isGone = true;
    this.#killTimer?.cancel();
    this.#closeTimer?.cancel();
    this.#inputTimer?.cancel();
    for (const stream of this.#process?.stdio ?? []) stream?.destroy();
    this.#listener.onGone(end);
    this.#resolveGone();
  }

  #killAfter(graceMs: number): void {
    if (this.hasExited || this.#killTimer) return;
    this.#killTimer = this.#clock.after(graceMs, () => this.kill());
  }

  #signal(signal: NodeJS.Signals): void {
    const pid = this.#process?.pid;
    if (pid === undefined || this.#isGone) return;
    try {
      process.kill(-pid, signal);
    } catch {
      // Nothing is left of the group.
    }
  }
}

/** The last line with something on it, short and printable. */
function lastLine(text: string): string {
  const lines = text.split(/[\r\n]+/).map((line) => line.replace(/\p{C}/gu, '').trim());
  return (lines.findLast((line) => line !== '') ?? '').slice(0, STDERR_LINE_CHARS);
}
