import { join } from 'node:path';
import { argv, env, execPath } from 'node:process';
import { ensureNodeModules } from './lib/node-modules.mjs';
import { paint, say } from './lib/output.mjs';
import { repoRoot } from './lib/paths.mjs';
import { runGroup } from './lib/run.mjs';

const HELP = `npm run test:interop [-- NAME ...]

Runs the SDKs of OpenAI, Deepgram, Mistral, LiveKit and OpenAI's agents, as they are published, against a fleet with the
embedded engine. Their packages (some 400 MB) are installed in tests/interop and nowhere else.

  NAME     run the tests with this in their name only
  --help   print this`;

async function main() {
  const names = argv.slice(2);
  if (names.includes('--help')) return console.log(HELP);
  await ensureNodeModules();
  await ensureNodeModules(join(repoRoot, 'tests/interop'));
  const args = ['scripts/jest.mjs', '--selectProjects', 'interop', '--maxWorkers=1'];
  if (names.length > 0) args.push(`--testNamePattern=${names.join('|')}`);
  process.exitCode = await runGroup(execPath, [...args, '--ci'], {
    cwd: repoRoot,
    stdio: 'inherit',
    env,
  });
}

main().catch((error) => {
  say(paint('red', error.message));
  process.exitCode = 1;
});
