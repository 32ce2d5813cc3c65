// npm run coverage: runs the specs of the voice pipeline and fails where a part of it is covered too little.
import { spawnSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { say } from './lib/output.mjs';
import { repoRoot } from './lib/paths.mjs';

const LEAST_STATEMENTS = 70;
/** What streams: each of these is held to the threshold by itself. */
const PARTS = [
  'services/gateway/src/voice',
  'services/gateway/src/dialects/prompt-voice',
  'services/gateway/src/dialects/lean',
  'services/gateway/src/lean',
  'services/llm-tts/src',
  'packages/speech/src',
];
/** Specs that run them from outside, by the beginning of their names. */
const OUTSIDE = ['voice-', 'turns', 'tts-', 'flite', 'openai-', 'audio-chat', 'llm-tts', 'lean-'];
const NOT_COUNTED = ['**/*.spec.ts', '**/*.fixture.ts', '**/*.d.ts'];

const parts = PARTS.filter((folder) => existsSync(join(repoRoot, folder)));
const inside = parts.map((folder) => `${folder}/`);
const outside = OUTSIDE.map((name) => `tests/integration/${name}`);
const args = [
  '--selectProjects',
  'unit',
  'integration',
  'alone',
  // Integration specs start servers and measure time: one file after the other.
  '--maxWorkers=1',
  '--ci',
  '--coverage',
  // Counts what ran by itself, so that the code under test is the code that is built.
  '--coverageProvider=v8',
  ...parts.map((folder) => `--collectCoverageFrom=${folder}/**/*.ts`),
  ...NOT_COUNTED.map((pattern) => `--collectCoverageFrom=!${pattern}`),
  `--coverageDirectory=${join(repoRoot, '.cache/coverage')}`,
  '--coverageReporters=text',
  '--coverageReporters=json-summary',
  `--coverageThreshold=${JSON.stringify(
    Object.fromEntries(parts.map((folder) => [`./${folder}/`, { statements: LEAST_STATEMENTS }])),
  )}`,
  `--testPathPatterns=${[...inside, ...outside].join('|')}`,
  ...process.argv.slice(2),
];
const jest = fileURLToPath(new URL('jest.mjs', import.meta.url));
const { status } = spawnSync(process.execPath, [jest, ...args], {
  cwd: repoRoot,
  stdio: 'inherit',
});
say(
  status === 0
    ? `At least ${LEAST_STATEMENTS} % of the statements of each part are covered: ${parts.join(', ')}.`
    : `A spec failed, or less than ${LEAST_STATEMENTS} % of a part is covered: see above.`,
);
process.exitCode = status ?? 1;
