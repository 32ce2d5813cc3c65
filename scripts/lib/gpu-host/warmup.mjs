import { env } from 'node:process';
import { repoRoot } from '../paths.mjs';
import { runGroup } from '../run.mjs';
import { asStarted } from './run-files.mjs';
import { checkKey } from './start.mjs';
import { FROM_SOURCE } from './tools.mjs';

/** One recording through this host, then eight at a time; returns the exit code of the first that fails, else 0. */
export async function warmup(settings, { n = '8', concurrency = '8', file, speed }) {
  checkKey(settings);
  const common = [
    ...['--server', asStarted(settings).address],
    ...(file === undefined ? [] : ['--file', file]),
    ...(speed === undefined ? [] : ['--speed', speed]),
  ];
  const once = await client(['warmup', ...common]);
  if (once !== 0) return once;
  return await client(['bench', '--n', n, '--concurrency', concurrency, ...common]);
}

function client(args) {
  const command = [...FROM_SOURCE, 'packages/client/src/cli/main.ts', ...args];
  const options = { cwd: repoRoot, env, stdio: ['ignore', 'inherit', 'inherit'] };
  return runGroup(process.execPath, command, options);
}
