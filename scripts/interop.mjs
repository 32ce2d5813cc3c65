import { join } from 'node:path';
import { argv } from 'node:process';
import { ensureNodeModules } from './lib/node-modules.mjs';
import { paint, say } from './lib/output.mjs';
import { repoRoot } from './lib/paths.mjs';
import { runFailedAgain, runSpecs, tellFlaky } from './lib/specs.mjs';

const HELP = `npm run test:interop [-- NAME ...]

Runs the SDKs of OpenAI, Deepgram, Mistral, LiveKit and OpenAI's agents, as they are published, against a fleet with the
embedded engine. Their packages (some 400 MB) are installed in tests/interop and nowhere else.

  NAME     run the tests with this in their name only
  --help   print this

A file that failed is run once more, and told as FLAKY if it passes then.`;

/** Jest's report is a file, and its lines are for people. */
const STDIO = ['ignore', 2, 2];

async function main() {
  const names = argv.slice(2);
  if (names.includes('--help')) return console.log(HELP);
  await ensureNodeModules();
  await ensureNodeModules(join(repoRoot, 'tests/interop'));
  const args = names.length > 0 ? [`--testNamePattern=${names.join('|')}`] : [];
  const result = await runSpecs('interop', ['--maxWorkers=1', ...args], { stdio: STDIO });
  await runFailedAgain([result], args, { stdio: STDIO });
  tellFlaky([result]);
  process.exitCode = result.failed === 0 ? 0 : 1;
}

main().catch((error) => {
  say(paint('red', error.message));
  process.exitCode = 1;
});
