// Runs Jest in ESM mode. A file of its own so that the one needed node flag works the same on every shell.
import { spawnSync } from 'node:child_process';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { ensureSystem } from './lib/system.mjs';

const jest = join(
  dirname(createRequire(import.meta.url).resolve('jest/package.json')),
  'bin/jest.js',
);
// Redis may be in a folder that is on nobody's PATH.
const system = await ensureSystem();
const { status } = spawnSync(
  process.execPath,
  [
    '--experimental-vm-modules',
    '--no-warnings=ExperimentalWarning',
    jest,
    ...process.argv.slice(2),
  ],
  { stdio: 'inherit', env: { ...process.env, ...system.env } },
);
process.exitCode = status ?? 1;
