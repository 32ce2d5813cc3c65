import type { CliIo } from './flags.ts';

const TTY_REFRESH_MS = 250;
const PLAIN_REFRESH_MS = 5_000;

/** A line that overwrites itself on a terminal, a plain one every few seconds elsewhere. The function returned shows it once more and stops. */
export function showProgress(io: CliIo, line: () => string): () => void {
  const show = (): void => io.stderr(io.isTty ? `\r\u001b[K${line()}` : `${line()}\n`);
  const timer = io.clock.every(io.isTty ? TTY_REFRESH_MS : PLAIN_REFRESH_MS, show);
  return () => {
    timer.cancel();
    show();
    if (io.isTty) io.stderr('\n');
  };
}
