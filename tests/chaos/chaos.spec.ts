import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { type Compiled, compileServices } from './compile.ts';
import { renderReports, type ScenarioReport } from './report.ts';
import { ChaosRun } from './run.ts';
import { SCENARIOS } from './scenarios/all.ts';

const ROWS: Readonly<Record<string, string>> = {
  a: 'A1',
  b: 'B8',
  c: 'A6',
  d: 'B9',
  e: 'D21',
  f: 'A6',
  g: 'B15',
  h: 'A4',
  i: 'B14',
};

/** `npm run test:chaos -- --short --seed N` repeats a run that failed. */
const seed = Date.now() % 100_000;
const reports: ScenarioReport[] = [];
let compiled: Compiled;
let run: ChaosRun;

beforeAll(async () => {
  compiled = await compileServices();
  run = new ChaosRun({
    compiledRoot: compiled.root,
    form: 'short',
    seed,
    runs: undefined,
    log: () => undefined,
  });
});
afterAll(async () => {
  await run[Symbol.asyncDispose]();
  await compiled.remove();
  process.stderr.write(`${renderReports(reports)}\n`);
});

describe(`a fleet whose processes fail (seed ${seed})`, () => {
  it.each(SCENARIOS.map((one) => [ROWS[one.id], one.promise, one] as const))(
    '%s: %s',
    async (_row, _promise, scenario) => {
      const report = await run.run(scenario);
      reports.push(report);
      expect(report.violations).toEqual([]);
    },
  );
});
