import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, relative } from 'node:path';
import { paint, say } from './output.mjs';
import { repoRoot } from './paths.mjs';
import { runGroup } from './run.mjs';

/** More files than these have a reason that running them again would only hide. */
const MOST_AGAIN = 3;

/**
 * Runs one of Jest's projects and gives its counts, and each file that failed with its own. A file that cannot even be
 * loaded has no failed test, and counts as one.
 */
export async function runSpecs(project, args, options) {
  const folder = mkdtempSync(join(tmpdir(), 'voice-fleet-jest-'));
  const report = join(folder, 'report.json');
  try {
    const all = ['--selectProjects', project, ...args, '--json', '--outputFile', report];
    const jest = join(repoRoot, 'scripts/jest.mjs');
    const code = await runGroup(process.execPath, [jest, ...all], { cwd: repoRoot, ...options });
    return read(report, project, code);
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

/**
 * Runs the files that failed once more, each by itself, unless they are too many. What passes now is counted as such and
 * told in `flaky`; what fails again stays a failure. Takes what runSpecs has given, and changes it.
 */
export async function runFailedAgain(results, args, options) {
  const broken = results.flatMap((result) => result.broken.map((file) => ({ result, file })));
  if (broken.length === 0) return;
  if (broken.length > MOST_AGAIN) {
    say(`\n${broken.length} files failed: too many to be flaky, so none is run again.`);
    return;
  }
  say(paint('bold', '\n== what failed, once more'));
  for (const { result, file } of broken) {
    const again = await runSpecs(
      file.project,
      ['--maxWorkers', '1', ...args, '--runTestsByPath', file.path],
      options,
    );
    if (again.failed > 0 || again.passed === 0) continue;
    result.passed += again.passed - file.passed;
    result.failed -= file.failed;
    result.flaky.push(file);
  }
}

/** Names what was flaky: each of them is a defect, in the spec or in what it tests. */
export function tellFlaky(results) {
  for (const { path, firstFailure } of results.flatMap(({ flaky }) => flaky)) {
    say(`${paint('yellow', 'FLAKY')} ${relative(repoRoot, path)}: ${firstFailure}`);
  }
}

function read(report, project, code) {
  const counts = { passed: 0, failed: 0, broken: [], flaky: [] };
  try {
    const { numPassedTests, testResults } = JSON.parse(readFileSync(report, 'utf8'));
    counts.passed = numPassedTests;
    counts.broken = testResults
      .filter(({ status }) => status === 'failed')
      .map((file) => describe(file, project));
    counts.failed = counts.broken.reduce((sum, { failed }) => sum + failed, 0);
  } catch {
    // Jest ended before it could report; its exit code says so.
  }
  return code !== 0 && counts.failed === 0 ? { ...counts, failed: 1 } : counts;
}

function describe({ name, message, assertionResults }, project) {
  const failed = assertionResults.filter(({ status }) => status === 'failed');
  return {
    project,
    path: name,
    passed: assertionResults.filter(({ status }) => status === 'passed').length,
    failed: Math.max(failed.length, 1),
    firstFailure: failed[0]?.fullName ?? message.trim().split('\n')[0],
  };
}
