import { readFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { env } from 'node:process';
import { parseArgs } from 'node:util';
import { ensureNodeModules } from './lib/node-modules.mjs';
import { paint, say } from './lib/output.mjs';
import { repoRoot } from './lib/paths.mjs';
import { runGroup } from './lib/run.mjs';
import { runFailedAgain, runSpecs, tellFlaky } from './lib/specs.mjs';
import { ensureSystem } from './lib/system.mjs';

const HELP = `npm test [-- options]

Installs what this machine lacks, then runs every check: lint, typecheck, build, docs, unit, integration, alone.
A failed check does not keep the others from running; the exit code is 1 if any failed.

  --only NAME     run this check only; may be repeated
  --config FILE   Jest's configuration, if not ours
  --help          print this

Up to three spec files of integration and alone that failed are run once more at the end, each by itself. One that
passes then is told as FLAKY with the test that failed first; one that fails again has failed.
The last line is "N passed, N failed", and "N flaky" if any was: every Jest test counts, flaky ones by file, and lint,
typecheck, build and docs as one each.`;

const bin = (name) => join(repoRoot, 'node_modules/.bin', name);

/** In the order they run: the fast ones that fail most first. */
const CHECKS = {
  lint: () => commands([bin('biome'), 'check', '.'], [bin('eslint'), '.']),
  typecheck: () => commands([bin('tsc'), '-p', 'tsconfig.json']),
  build: () => commands(['npm', 'run', '--silent', 'build', '--', '--output-logs=errors-only']),
  docs: () => commands(['npm', 'run', '--silent', 'docs:check']),
  unit: (config) => jest('unit', config),
  integration: (config) => jest('integration', config),
  alone: (config) => jest('alone', config),
};

/** They start processes and wait for sockets on whatever machine this is; the other checks have no such excuse. */
const RUN_AGAIN = ['integration', 'alone'];

/** Stdout is kept for the last line. */
const STDIO = ['ignore', 2, 2];

async function main() {
  const options = readOptions();
  if (options.help) {
    console.log(HELP);
    return 0;
  }
  const { only, config } = options;
  await ensureNodeModules();
  const needBrowser = only.length === 0 || only.includes('alone');
  const needPrometheus = needBrowser || only.includes('integration');
  const system = await ensureSystem({ needBrowser, needPrometheus });
  Object.assign(env, system.env);

  const results = [];
  for (const name of Object.keys(CHECKS)) {
    if (only.length > 0 && !only.includes(name)) continue;
    if (name === 'docs' && !hasScript('docs:check')) continue;
    say(paint('bold', `\n== ${name}`));
    const started = performance.now();
    const counts = await CHECKS[name](config);
    const seconds = ((performance.now() - started) / 1_000).toFixed(1);
    results.push({ name, seconds, ...counts });
    say(`${verdict(counts)} ${name} in ${seconds} s`);
  }
  const mayRunAgain = results.filter(({ name }) => RUN_AGAIN.includes(name));
  await runFailedAgain(mayRunAgain, config, { stdio: STDIO });

  say(paint('bold', '\n== summary'));
  for (const { name, seconds, ...counts } of results) {
    const numbers = `${counts.passed} passed, ${counts.failed} failed`;
    say(`${verdict(counts)} ${name.padEnd(12)} ${numbers.padEnd(24)} ${seconds.padStart(6)} s`);
  }
  tellFlaky(mayRunAgain);
  const total = (key) => results.reduce((sum, result) => sum + result[key], 0);
  const flaky = mayRunAgain.reduce((sum, result) => sum + result.flaky.length, 0);
  const note = flaky > 0 ? `, ${flaky} flaky` : '';
  console.log(`${total('passed')} passed, ${total('failed')} failed${note}`);
  return total('failed') === 0 ? 0 : 1;
}

function readOptions() {
  let values;
  try {
    ({ values } = parseArgs({
      options: {
        only: { type: 'string', multiple: true, default: [] },
        config: { type: 'string' },
        help: { type: 'boolean', default: false },
      },
    }));
  } catch (error) {
    throw new Error(`${error.message}\nSee \`npm test -- --help\`.`);
  }
  const unknown = values.only.find((name) => !CHECKS[name]);
  if (unknown) {
    throw new Error(
      `There is no check "${unknown}": use one of ${Object.keys(CHECKS).join(', ')}.`,
    );
  }
  return { ...values, config: values.config ? ['--config', resolve(values.config)] : [] };
}

/** A check that passes or fails as a whole; all its commands run. */
async function commands(...lines) {
  let failed = 0;
  for (const line of lines) {
    if ((await exitCode(line)) !== 0) failed = 1;
  }
  return { passed: 1 - failed, failed };
}

function jest(project, config) {
  // Specs share nothing, but those of `alone` start many processes or measure: one file after the other.
  const workers = project === 'alone' ? '1' : '100%';
  return runSpecs(project, ['--maxWorkers', workers, ...config], { stdio: STDIO });
}

function exitCode([command, ...args]) {
  return runGroup(command, args, { cwd: repoRoot, stdio: STDIO });
}

function hasScript(name) {
  return name in JSON.parse(readFileSync(join(repoRoot, 'package.json'), 'utf8')).scripts;
}

function verdict({ failed }) {
  return failed === 0 ? paint('green', 'ok  ') : paint('red', 'FAIL');
}

main().then(
  (code) => process.exit(code),
  (error) => {
    say(paint('red', error.message));
    process.exit(1);
  },
);
