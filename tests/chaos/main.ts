import { compileServices } from './compile.ts';
import { readOptions } from './options.ts';
import { renderReports, type ScenarioReport } from './report.ts';
import { ChaosRun } from './run.ts';
import { SCENARIOS } from './scenarios/all.ts';

const HELP = `npm run test:chaos -- [options]

Kills, stops and restarts the processes of a fleet under live sessions, and counts what became of every word.
Needs no GPU. Exit code 0 when no promise was broken, 1 when one was, 2 for wrong flags.

  --scenario a,b   only these (default: all)
  --short          the small form that runs with the other tests
  --seed N         the same faults again (default: a new one each time; it is printed)
  --runs N         faults, or rounds of them, in each scenario
  --json           print one JSON object on stdout instead of the table
  --logs FOLDER    write what the processes logged there
  --help           print this

Scenarios:
${SCENARIOS.map(({ id, promise }) => `  ${id}  ${promise}`).join('\n')}`;

async function main(): Promise<number> {
  const options = readOptions(
    process.argv.slice(2),
    SCENARIOS.map(({ id }) => id),
  );
  if (options === undefined) {
    console.log(HELP);
    return 0;
  }
  const { scenarios, seed, json } = options;
  const log = (line: string): void => void process.stderr.write(`${line}\n`);
  log(`seed ${seed}`);
  await using compiled = await compileServices();
  await using run = new ChaosRun({ ...options, compiledRoot: compiled.root, log });
  const stop = (): void => {
    // Processes of the fleet end with this one; only the files are left to remove.
    void compiled.remove().finally(() => process.exit(130));
  };
  process.once('SIGINT', stop).once('SIGTERM', stop);
  const reports: ScenarioReport[] = [];
  for (const scenario of SCENARIOS) {
    if (scenarios.length === 0 || scenarios.includes(scenario.id))
      reports.push(await run.run(scenario));
  }
  console.log(json ? JSON.stringify({ ...options, reports }) : renderReports(reports));
  return reports.every(({ violations }) => violations.length === 0) ? 0 : 1;
}

main().then(
  (code) => process.exit(code),
  (error: unknown) => {
    process.stderr.write(`${error instanceof Error ? error.message : String(error)}\n`);
    process.exit(2);
  },
);
