import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { readdirSync, readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

const REPO = fileURLToPath(new URL('../..', import.meta.url));

/** One living process; `since` tells it from a later one with the same id. */
interface Process {
  readonly pid: string;
  readonly parent: string;
  readonly since: string;
}

export interface Command {
  readonly child: ChildProcess;
  /** Every process seen below `child`, however it has detached itself since. */
  readonly family: Map<string, Process>;
  stdout: string;
  stderr: string;
  readonly closed: Promise<number | null>;
}

const all: Command[] = [];

/** Runs node with these arguments in the repository's folder. */
export function startCommand(args: readonly string[], env: NodeJS.ProcessEnv = {}): Command {
  const child = spawn(process.execPath, args, {
    cwd: REPO,
    env: { ...process.env, ...env },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  const closed = once(child, 'close').then(([code]) => code as number | null);
  const command: Command = { child, family: new Map(), stdout: '', stderr: '', closed };
  child.stdout.setEncoding('utf8').on('data', (text: string) => {
    command.stdout += text;
  });
  child.stderr.setEncoding('utf8').on('data', (text: string) => {
    command.stderr += text;
  });
  const watch = setInterval(() => recordFamily(command), 50);
  void closed.then(() => clearInterval(watch));
  all.push(command);
  return command;
}

/** Kills what a failed test left running. */
export async function endCommands(): Promise<void> {
  for (const { child, closed } of all.splice(0)) {
    if (child.exitCode === null) child.kill('SIGKILL');
    await closed;
  }
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

function recordFamily({ child, family }: Command): void {
  const living = livingProcesses();
  let found = [String(child.pid)];
  while (found.length > 0) {
    const members = living.filter(({ parent }) => found.includes(parent));
    for (const member of members) family.set(member.pid, member);
    found = members.map(({ pid }) => pid);
  }
}

/** Those of the family that live on. */
export function left({ family }: Command): Process[] {
  return livingProcesses().filter(({ pid, since }) => family.get(pid)?.since === since);
}

export async function until(
  condition: () => boolean,
  what: string,
  timeoutMs = 60_000,
): Promise<void> {
  const deadline = Date.now() + timeoutMs;
  while (!condition()) {
    if (Date.now() > deadline) throw new Error(`not within ${timeoutMs} ms: ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
}
