// Adds to package-lock.json the optional packages of other platforms that the registry in use could not resolve: without
// them `npm ci` calls the lock out of sync. Versions are those their parents pin. Run after any `npm install` that changed it.
import { readFileSync, writeFileSync } from 'node:fs';

const OS = [
  'android',
  'darwin',
  'linux',
  'win32',
  'windows',
  'freebsd',
  'openbsd',
  'netbsd',
  'sunos',
  'aix',
  'openharmony',
];
const CPU = [
  'arm64',
  'x64',
  'ia32',
  'arm',
  'ppc64',
  's390x',
  'riscv64',
  'loong64',
  'mips64el',
  'wasm32',
  '64',
];

/** What a platform package's name says of where it may be installed. */
function platform(name) {
  const os = OS.find((candidate) => name.includes(candidate));
  const parts = name.split(/[-/]/);
  const cpu = CPU.find((candidate) => parts.includes(candidate));
  return {
    ...(os ? { os: [os === 'windows' ? 'win32' : os] } : {}),
    ...(cpu ? { cpu: [cpu === '64' ? 'x64' : cpu] } : {}),
    ...(/musl/.test(name)
      ? { libc: ['musl'] }
      : os === 'linux' && /gnu/.test(name)
        ? { libc: ['glibc'] }
        : {}),
  };
}

const file = new URL('../package-lock.json', import.meta.url);
const lock = JSON.parse(readFileSync(file, 'utf8'));
for (const [at, entry] of Object.entries(lock.packages)) {
  for (const [name, version] of Object.entries(entry.optionalDependencies ?? {})) {
    const top = `node_modules/${name}`;
    if (lock.packages[`${at}/node_modules/${name}`] || lock.packages[top]) continue;
    lock.packages[top] = {
      version,
      ...(entry.dev ? { dev: true } : {}),
      optional: true,
      ...platform(name),
    };
    console.log(`added ${name}@${version}`);
  }
}
lock.packages = Object.fromEntries(
  Object.entries(lock.packages).sort(([a], [b]) => a.localeCompare(b, 'en')),
);
writeFileSync(file, `${JSON.stringify(lock, null, 2)}\n`);
