import { readFileSync } from 'node:fs';
import { ended } from '../local-fleet.mjs';

/**
 * Makes the files of an image the root, read-only to the last folder, without a shell, with a process 1 of its own; then
 * starts what is left of the arguments as the image's user. As a container of a restricted pod, but for network and limits.
 */
const ENTER = `
root=$1; user=$2; folder=$3; shift 3
mount --bind "$root" "$root"
mount -o remount,bind,ro "$root"
mount -t proc proc "$root/proc"
mount --rbind /dev "$root/dev"
for shell in sh dash bash; do mount --bind /dev/null "$root/bin/$shell"; done
exec chroot --userspec="$user" "$root" /usr/bin/env -i -C "$folder" "$@"
`;
const STOP_TIMEOUT_MS = 30_000;

/** A program of an image that runs on this machine's own network. */
export class Contained {
  #started;

  /** `words` run instead of what the image starts. */
  constructor(processes, { name, root, config, settings = {}, args, words, stdout }) {
    const env = [...(config.Env ?? []), ...Object.entries(settings).map((pair) => pair.join('='))];
    const command = words ?? [...config.Entrypoint, ...(args ?? config.Cmd ?? [])];
    const enter = [root, config.User, config.WorkingDir || '/', ...env, ...command];
    this.#started = processes.start(
      name,
      'unshare',
      [
        '--mount',
        '--pid',
        '--fork',
        '--kill-child',
        '--',
        '/bin/sh',
        '-ec',
        ENTER,
        'enter',
        ...enter,
      ],
      stdout ? { stdout } : {},
    );
  }

  /** Settles when it has ended. */
  get exited() {
    return this.#started.exited;
  }

  /** Rejects when it ends although nobody asked for it. */
  async crash() {
    const { code, signal } = await this.exited;
    throw new Error(ended(this.#started, code ?? signal));
  }

  /** Asks process 1 to end, as a cluster does, and gives its exit code. */
  async stop() {
    const { pid } = this.#started.child;
    const [first] = readFileSync(`/proc/${pid}/task/${pid}/children`, 'utf8').split(' ');
    if (first) process.kill(Number(first), 'SIGTERM');
    let timer;
    const late = new Promise((_, reject) => {
      timer = setTimeout(() => reject(new Error('it does not end on SIGTERM')), STOP_TIMEOUT_MS);
    });
    const { code, signal } = await Promise.race([this.exited, late]);
    clearTimeout(timer);
    return code ?? signal;
  }
}
