import { spawn } from 'node:child_process';
import { access, constants, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { delimiter, join } from 'node:path';
import { UsageError } from './flags.ts';

/** Programs that play a WAV file, and what they are told beside its name. */
const PLAYERS: readonly (readonly [command: string, ...args: string[]])[] = [
  ['aplay', '-q'],
  ['paplay'],
  ['afplay'],
  ['play', '-q'],
  ['ffplay', '-nodisp', '-autoexit', '-loglevel', 'error'],
];

/** Plays WAV files one after the other through the first player this machine has. */
export class Player {
  readonly #command: readonly [string, ...string[]];
  readonly #folder: string;
  readonly #signal: AbortSignal;
  #queue: Promise<void> = Promise.resolve();
  #count = 0;

  private constructor(
    command: readonly [string, ...string[]],
    folder: string,
    signal: AbortSignal,
  ) {
    this.#command = command;
    this.#folder = folder;
    this.#signal = signal;
  }

  /** Throws UsageError where there is no player. */
  static async open(path: string | undefined, signal: AbortSignal): Promise<Player> {
    for (const [name, ...args] of PLAYERS) {
      const found = await find(name, path ?? '');
      if (found === undefined) continue;
      const folder = await mkdtemp(join(tmpdir(), 'voice-fleet-play-'));
      return new Player([found, ...args], folder, signal);
    }
    const names = PLAYERS.map(([name]) => name).join(', ');
    throw new UsageError(`--play needs one of ${names}. Install one, or take --out instead.`);
  }

  /** Queues a file; a failure is told by `close`. */
  play(wav: Buffer): void {
    const file = join(this.#folder, `${this.#count}.wav`);
    this.#count += 1;
    this.#queue = this.#queue.then(() => this.#run(file, wav));
    // Awaited in `close`.
    this.#queue.catch(() => {});
  }

  /** Waits until all is played, and leaves no file behind. */
  async close(): Promise<void> {
    try {
      await this.#queue;
    } finally {
      await rm(this.#folder, { recursive: true, force: true });
    }
  }

  async #run(file: string, wav: Buffer): Promise<void> {
    if (this.#signal.aborted) return;
    await writeFile(file, wav);
    const [command, ...args] = this.#command;
    const child = spawn(command, [...args, file], { stdio: 'ignore', signal: this.#signal });
    const code = await new Promise<number | null>((resolve, reject) => {
      child.once('close', resolve);
      child.once('error', reject);
    });
    if (code !== 0) throw new Error(`${command} cannot play the reply (exit code ${code}).`);
  }
}

async function find(name: string, path: string): Promise<string | undefined> {
  for (const folder of path.split(delimiter).filter((text) => text !== '')) {
    const file = join(folder, name);
    const there = await access(file, constants.X_OK).then(
      () => true,
      () => false,
    );
    if (there) return file;
  }
  return undefined;
}
