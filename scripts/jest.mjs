// Runs Jest in ESM mode. A file of its own so that the one needed node flag works the same on every shell.
import { spawnSync } from 'node:child_process';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { ensureHelm } from './lib/helm.mjs';
import { ensureSystem } from './lib/system.mjs';

const jest = join(
  dirname(createRequire(import.meta.url).resolve('jest/package.json')),
  'bin/jest.js',
);
const args = process.argv.slice(2);
// What stands behind the options of our npm scripts says which specs. npm test has found a browser by itself.
const patterns = args.slice(args.indexOf('--ci') + 1).filter((arg) => !arg.startsWith('-'));
const needBrowser =
  args.includes('alone') &&
  (patterns.length === 0 || patterns.some((pattern) => pattern.includes('browser')));
const needPrometheus =
  ['alone', 'integration', 'chart'].some((project) => args.includes(project)) &&
  (patterns.length === 0 || patterns.some((pattern) => pattern.includes('observ')));
// Redis may be in a folder that is on nobody's PATH.
const system = await ensureSystem({ needBrowser, needPrometheus });
const helm = args.includes('chart') ? await ensureHelm() : {};
const { status } = spawnSync(
  process.execPath,
  ['--experimental-vm-modules', '--no-warnings=ExperimentalWarning', jest, ...args],
  { stdio: 'inherit', env: { ...process.env, ...system.env, ...helm } },
);
process.exitCode = status ?? 1;
