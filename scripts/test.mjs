import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { env } from 'node:process';
import { parseArgs } from 'node:util';
import { ensureNodeModules } from './lib/node-modules.mjs';
import { paint, say } from './lib/output.mjs';
import { repoRoot } from './lib/paths.mjs';
import { runGroup } from './lib/run.mjs';
import { ensureSystem } from './lib/system.mjs';

const HELP = `npm test [-- options]

Installs what this machine lacks, then runs every check: lint, typecheck, build, docs, unit, integration, alone.
A failed check does not keep the others from running; the exit code is 1 if any failed.

  --only NAME   run this check only; may be repeated
  --help        print this

The last line is "N passed, N failed": every Jest test counts, and lint, typecheck, build and docs as one each.`;

const bin = (name) => join(repoRoot, 'node_modules/.bin', name);

/** In the order they run: the fast ones that fail most first. */
const CHECKS = {
  lint: () => commands([bin('biome'), 'check', '.'], [bin('eslint'), '.']),
  typecheck: () => commands([bin('tsc'), '-p', 'tsconfig.json']),
  build: () => commands(['npm', 'run', '--silent', 'build', '--', '--output-logs=errors-only']),
  docs: () => commands(['npm', 'run', '--silent', 'docs:check']),
  unit: () => jest('unit'),
  integration: () => jest('integration'),
  alone: () => jest('alone'),
};

async function main() {
  const only = readOptions();
  if (!only) return 0;
  await ensureNodeModules();
  const needBrowser = only.length === 0 || only.includes('alone');
  const system = await ensureSystem({ needBrowser });
  Object.assign(env, system.env);

  const results = [];
  for (const name of Object.keys(CHECKS)) {
    if (only.length > 0 && !only.includes(name)) continue;
    if (name === 'docs' && !hasScript('docs:check')) continue;
    say(paint('bold', `\n== ${name}`));
    const started = performance.now();
    const counts = await CHECKS[name]();
    const seconds = ((performance.now() - started) / 1_000).toFixed(1);
    results.push({ name, seconds, ...counts });
    say(`${verdict(counts)} ${name} in ${seconds} s`);
  }

  say(paint('bold', '\n== summary'));
  for (const { name, seconds, ...counts } of results) {
    const numbers = `${counts.passed} passed, ${counts.failed} failed`;
    say(`${verdict(counts)} ${name.padEnd(12)} ${numbers.padEnd(24)} ${seconds.padStart(6)} s`);
  }
  const total = (key) => results.reduce((sum, result) => sum + result[key], 0);
  console.log(`${total('passed')} passed, ${total('failed')} failed`);
  return total('failed') === 0 ? 0 : 1;
}

/** The names given with `--only`; undefined when only help was asked for. */
function readOptions() {
  let values;
  try {
    ({ values } = parseArgs({
      options: {
        only: { type: 'string', multiple: true, default: [] },
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
  if (!values.help) return values.only;
  console.log(HELP);
  return undefined;
}

/** A check that passes or fails as a whole; all its commands run. */
async function commands(...lines) {
  let failed = 0;
  for (const line of lines) {
    if ((await exitCode(line)) !== 0) failed = 1;
  }
  return { passed: 1 - failed, failed };
}

async function jest(project) {
  const folder = mkdtempSync(join(tmpdir(), 'voice-fleet-jest-'));
  process.once('exit', () => rmSync(folder, { recursive: true, force: true }));
  const report = join(folder, 'report.json');
  // Specs share nothing, but those of `alone` start many processes or measure: one file after the other.
  const workers = project === 'alone' ? '1' : '100%';
  const args = [
    '--selectProjects',
    project,
    '--maxWorkers',
    workers,
    '--json',
    '--outputFile',
    report,
  ];
  return countTests(report, await exitCode([process.execPath, 'scripts/jest.mjs', ...args]));
}

/** Jest's counts; a file that cannot even be loaded has no failed test, and counts as one. */
function countTests(report, code) {
  let counts = { passed: 0, failed: 0 };
  try {
    const result = JSON.parse(readFileSync(report, 'utf8'));
    const failed = result.numFailedTests + result.numRuntimeErrorTestSuites;
    counts = { passed: result.numPassedTests, failed };
  } catch {
    // Jest ended before it could report; its exit code says so.
  }
  return code !== 0 && counts.failed === 0 ? { ...counts, failed: 1 } : counts;
}

function exitCode([command, ...args]) {
  // Stdout is kept for the last line.
  return runGroup(command, args, { cwd: repoRoot, stdio: ['ignore', 2, 2] });
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
