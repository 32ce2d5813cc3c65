import { readFileSync } from 'node:fs';
import { env } from 'node:process';
import { paint, say } from './output.mjs';

/** Ctrl+C under npm arrives twice, from the terminal and from npm; only a later one is a second wish. */
const SAME_WISH_MS = 500;
const PARENT_CHECK_MS = 500;
const FORCED = 130;

/**
 * Runs `work` until it ends or somebody wants it to stop; returns its exit code, 0 if stopped. The caller
 * then stops the children; a second Ctrl+C meanwhile kills them.
 */
export async function untilStopped(processes, work) {
  let askedAt;
  const stopped = new Promise((resolve) => {
    const stop = (why) => {
      if (askedAt === undefined) {
        askedAt = performance.now();
        say(paint('dim', `\nStopping (${why}); once more to force.`));
        resolve(0);
      } else if (performance.now() - askedAt > SAME_WISH_MS) {
        processes.killAll();
        process.exit(FORCED);
      }
    };
    for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP']) process.on(signal, () => stop(signal));
    // npm killed outright tells us nothing, but its shell or we get another parent. Run directly we may
    // outlive a shell.
    if (env.npm_lifecycle_event) {
      const atStart = ancestors();
      const timer = setInterval(() => {
        if (ancestors() === atStart) return;
        clearInterval(timer);
        stop('npm is gone');
      }, PARENT_CHECK_MS);
      timer.unref();
    }
  });
  return Promise.race([work(), stopped]);
}

/** The process ids of our parent and, where the system shows it, of its parent: npm puts a shell between. */
function ancestors() {
  const parent = process.ppid;
  try {
    // `pid (name) state ppid …`; the name may hold spaces and brackets.
    const [, grandparent] = readFileSync(`/proc/${parent}/stat`, 'utf8')
      .split(') ')
      .pop()
      .split(' ');
    return `${parent} ${grandparent}`;
  } catch {
    return `${parent}`;
  }
}
