import { closeSync, mkdtempSync, openSync, readFileSync, rmSync } from 'node:fs';
import { availableParallelism, tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { env } from 'node:process';
import { parseArgs } from 'node:util';
import { ensureHelm } from './lib/helm.mjs';
import { ensureNodeModules } from './lib/node-modules.mjs';
import { paint, say } from './lib/output.mjs';
import { repoRoot } from './lib/paths.mjs';
import { runGroup } from './lib/run.mjs';
import { runFailedAgain, runSpecs, tellFlaky } from './lib/specs.mjs';
import { ensureSystem } from './lib/system.mjs';

const HELP = `npm test [-- options]

Installs what this machine lacks, then runs every check: lint, typecheck, build, docs, unit, chart, integration, alone.
A failed check does not keep the others from running; the exit code is 1 if any failed.

  --only NAME     run this check only; may be repeated
  --config FILE   Jest's configuration, if not ours
  --help          print this

Up to three spec files of integration and alone that failed are run once more at the end, each by itself. One that
passes then is told as FLAKY with the test that failed first; one that fails again has failed.
The last line is "N passed, N failed", and "N flaky" if any was: every Jest test counts, flaky ones by file, and lint,
typecheck, build and docs as one each.`;

const bin = (name) => join(repoRoot, 'node_modules/.bin', name);

/** In the order they are told: the fast ones that fail most first. */
const CHECKS = {
  lint: (output) => commands(output, [bin('biome'), 'check', '.'], [bin('eslint'), '.']),
  typecheck: (output) => commands(output, [bin('tsc'), '-p', 'tsconfig.json']),
  build: (output) =>
    commands(output, ['npm', 'run', '--silent', 'build', '--', '--output-logs=errors-only']),
  docs: (output) => commands(output, ['npm', 'run', '--silent', 'docs:check']),
  unit: (_output, config) => jest('unit', config),
  chart: (_output, config) => jest('chart', config),
  integration: (_output, config) => jest('integration', config),
  alone: (_output, config) => jest('alone', config),
};

/** What has one thread each: side by side, while Jest gets the machine for itself. */
const LANES = [['lint'], ['typecheck', 'build', 'docs']];

/** Files at once: those of alone measure. More than the cores made specs that speak at the pace of a voice stall. */
const CORES = availableParallelism();
const WORKERS = { unit: CORES, chart: CORES, integration: CORES, alone: 1 };

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
  // Small specs of one's own need neither.
  const needs = (...names) =>
    config.length === 0 && (only.length === 0 || names.some((name) => only.includes(name)));
  const system = await ensureSystem({
    needBrowser: needs('alone'),
    needPrometheus: needs('chart', 'integration', 'alone'),
  });
  Object.assign(env, system.env);
  // Where it cannot be got the checks of the chart fail, and no others.
  if (needs('chart')) Object.assign(env, await ensureHelm().catch(told));

  const names = Object.keys(CHECKS).filter((name) => only.length === 0 || only.includes(name));
  const lanes = LANES.map((lane) => lane.filter((name) => names.includes(name)));
  const done = await Promise.all(
    lanes.map((lane) =>
      runLane(
        lane,
        lanes.every(({ length }) => length > 0),
      ),
    ),
  );
  const rest = names.filter((name) => !lanes.flat().includes(name));
  const results = [...done.flat(), ...(await runLane(rest, false, config))];
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

function told(error) {
  say(paint('red', error.message));
}

/** Runs these checks one after the other; what one that is `beside` others has to say is told when it is over. */
async function runLane(names, beside, config) {
  const results = [];
  for (const name of names) {
    if (!beside) say(paint('bold', `\n== ${name}`));
    const started = performance.now();
    const { output, told } = beside ? captured(name) : { output: 2 };
    const counts = await CHECKS[name](output, config);
    const seconds = ((performance.now() - started) / 1_000).toFixed(1);
    results.push({ name, seconds, ...counts });
    if (beside) say(`${paint('bold', `\n== ${name}`)}\n${told()}`.trimEnd());
    say(`${verdict(counts)} ${name} in ${seconds} s`);
  }
  return results;
}

/** A file to write to, and what was written. */
function captured(name) {
  const folder = mkdtempSync(join(tmpdir(), 'voice-fleet-check-'));
  process.once('exit', () => rmSync(folder, { recursive: true, force: true }));
  const path = join(folder, name);
  const output = openSync(path, 'a');
  const told = () => {
    closeSync(output);
    return readFileSync(path, 'utf8');
  };
  return { output, told };
}

/** What was asked for; `config` as Jest takes it. */
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
async function commands(output, ...lines) {
  let failed = 0;
  for (const [command, ...args] of lines) {
    const stdio = ['ignore', output, output];
    if ((await runGroup(command, args, { cwd: repoRoot, stdio })) !== 0) failed = 1;
  }
  return { passed: 1 - failed, failed };
}

function jest(project, config) {
  return runSpecs(project, ['--maxWorkers', String(WORKERS[project]), ...config], { stdio: STDIO });
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
