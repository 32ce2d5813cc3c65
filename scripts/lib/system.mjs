import { existsSync, mkdirSync, readdirSync, readlinkSync, rmSync, symlinkSync } from 'node:fs';
import { delimiter, join, relative } from 'node:path';
import { env } from 'node:process';
import { canInstall, hasDebianTools, installPackages, unpackPackages } from './debian.mjs';
import { withProgress } from './output.mjs';
import { binFolder, unpackedRoot } from './paths.mjs';

/**
 * What the demonstration and the tests take from the operating system, each with the Debian package that has it.
 * Redis comes from redis-tools: its redis-check-rdb is the server's own binary, which goes by the name
 * it is called with. redis-server would add only a system service on port 6379 that nobody asked for.
 */
const PARTS = {
  redis: 'redis-tools',
  libraries: 'libpocketsphinx3',
  model: 'pocketsphinx-en-us',
  samples: 'pocketsphinx-testdata',
  browser: 'chromium',
  prometheus: 'prometheus',
};

/** Installed it would be a system service that nobody asked for; of what it depends on, its two programs use nothing. */
const ALWAYS_UNPACKED = ['prometheus'];

/** Large, so got only by those who need it: 80 MB to fetch, 300 MB on the disk, and as much again where no desktop is. */
const LARGE = {
  chromium: 'chromium (some 100 MB, for the tests of the page alone)',
  prometheus: 'prometheus (19 MB, for npm run observe and the tests of alerts and dashboards)',
};

const SAMPLES = 'usr/share/pocketsphinx/test/data/librivox';
const ROOTS = ['/', unpackedRoot];

/** Finds every part by looking at files only; takes a few milliseconds. */
export function findSystem(roots = ROOTS) {
  const find = (probe) =>
    roots.map((root) => ({ root, path: probe(root) })).find((hit) => hit.path);
  const found = {
    redis: find(redisIn),
    libraries: find(librariesIn),
    model: find((root) => existing(root, 'usr/share/pocketsphinx/model/en-us/en-us.lm.bin')),
    samples: find((root) => existing(root, SAMPLES)),
    browser: find(browserIn),
    prometheus: find(prometheusIn),
  };
  return { ...found, missing: Object.keys(PARTS).filter((part) => !found[part]) };
}

/**
 * Makes sure that Redis, pocketsphinx, its model and its recordings are there, where tests of the page are to run a
 * browser, and where rules and dashboards are tried Prometheus, and says where. `env` is what a process that starts Redis or tests needs on top of its own environment.
 */
export async function ensureSystem({
  rootless = false,
  needRedis = true,
  needBrowser = false,
  needPrometheus = false,
} = {}) {
  const roots = rootless ? [unpackedRoot] : ROOTS;
  const needed = { redis: needRedis, browser: needBrowser, prometheus: needPrometheus };
  const wanted = ({ missing }) => missing.filter((part) => needed[part] ?? true);
  const packages = wanted(findSystem(roots)).map((part) => PARTS[part]);
  const unpacked = packages.filter((name) => ALWAYS_UNPACKED.includes(name));
  const others = packages.filter((name) => !unpacked.includes(name));
  if (others.length > 0) await getPackages(others, rootless);
  if (unpacked.length > 0) await getPackages(unpacked, true, { alone: true });
  const found = findSystem(roots);
  const missing = wanted(found).map((part) => PARTS[part]);
  if (missing.length > 0) {
    throw new Error(
      `${missing.join(', ')} is installed but not where expected. ${howToInstall(missing)}`,
    );
  }
  return describe(found, packages);
}

async function getPackages(packages, rootless, options) {
  if (!hasDebianTools()) throw new Error(withoutDebian());
  try {
    if (!rootless && canInstall()) {
      const what = `installing ${named(packages)} with apt-get`;
      await withProgress(what, () => installPackages(packages));
    } else {
      const what = `unpacking ${named(packages)} into .cache/debian`;
      await withProgress(what, () => unpackPackages(packages, options));
    }
  } catch (error) {
    throw new Error(`${error.message}\n${howToInstall(packages)}`, { cause: error });
  }
}

function named(packages) {
  return packages.map((name) => LARGE[name] ?? name).join(', ');
}

function describe({ redis, samples, browser, prometheus }, installed) {
  const needed = {};
  if (redis?.root === unpackedRoot || browser?.root === unpackedRoot) {
    needed.LD_LIBRARY_PATH = joinPaths(libraryFolders(unpackedRoot), env.LD_LIBRARY_PATH);
  }
  if (redis?.path.endsWith('-check-rdb')) {
    needed.PATH = joinPaths([binFolder], env.PATH);
  }
  if (samples.root === unpackedRoot) needed.VF_SAMPLE_DIR = samples.path;
  if (browser) needed.VF_CHROMIUM = browser.path;
  if (prometheus) needed.VF_PROMETHEUS = prometheus.path;
  return {
    redisServer: redis && asServer(redis.path),
    sampleDir: samples.path,
    unpackedRoot: existsSync(unpackedRoot) ? unpackedRoot : undefined,
    installed,
    env: needed,
  };
}

function joinPaths(paths, rest) {
  return [...paths, ...(rest ? [rest] : [])].join(delimiter);
}

function redisIn(root) {
  const folders = root === '/' ? (env.PATH ?? '').split(delimiter) : [join(root, 'usr/bin')];
  const names = ['redis-server', 'valkey-server', 'redis-check-rdb', 'valkey-check-rdb'];
  return names
    .flatMap((name) => folders.map((folder) => join(folder, name)))
    .find((path) => !path.startsWith(binFolder) && existsSync(path));
}

/** Chromium or one of its kind. Unpacked, its start script would look for the rest of it in /usr/lib. */
function browserIn(root) {
  if (root !== '/') return existing(root, 'usr/lib/chromium/chromium');
  const names = ['chromium', 'chromium-browser', 'google-chrome', 'google-chrome-stable'];
  const folders = (env.PATH ?? '').split(delimiter);
  return names
    .flatMap((name) => folders.map((folder) => join(folder, name)))
    .find((path) => existsSync(path));
}

/** The server; promtool lies beside it. */
function prometheusIn(root) {
  const folders = root === '/' ? (env.PATH ?? '').split(delimiter) : [join(root, 'usr/bin')];
  return folders
    .filter((folder) => existsSync(join(folder, 'promtool')))
    .map((folder) => join(folder, 'prometheus'))
    .find((path) => existsSync(path));
}

/** redis-check-rdb under the name that makes it the server. */
function asServer(path) {
  if (!path.endsWith('-check-rdb')) return path;
  const link = join(binFolder, 'redis-server');
  // Relative inside the repository, so that the folder can be moved.
  const target = path.startsWith(unpackedRoot) ? relative(binFolder, path) : path;
  // Left alone when right: another npm start or test may be about to run it.
  if (linkTarget(link) !== target) {
    mkdirSync(binFolder, { recursive: true });
    rmSync(link, { force: true });
    symlinkSync(target, link);
  }
  return link;
}

function linkTarget(path) {
  try {
    return readlinkSync(path);
  } catch {
    return undefined;
  }
}

/** The one library stands for those it is linked to: they come with its package. */
function librariesIn(root) {
  return libraryFolders(root)
    .map((folder) => join(folder, 'libpocketsphinx.so.3'))
    .find((path) => existsSync(path));
}

/** The library folders of one root; Debian's carry the machine's triple, as in usr/lib/aarch64-linux-gnu. */
function libraryFolders(root) {
  return ['usr/lib', 'lib', 'usr/local/lib'].flatMap((name) => {
    const folder = join(root, name);
    if (!existsSync(folder)) return [];
    const triples = readdirSync(folder).filter((entry) => entry.includes('-linux-'));
    const own = triples.map((triple) => join(folder, triple));
    const nested = (path) =>
      [path, join(path, 'blas'), join(path, 'lapack')].filter((path) => existsSync(path));
    return [...own.flatMap(nested), folder];
  });
}

function existing(root, path) {
  const full = join(root, path);
  return existsSync(full) ? full : undefined;
}

function howToInstall(packages) {
  return `Run \`sudo apt-get update && sudo apt-get install -y --no-install-recommends ${packages.join(' ')}\`, then the same npm command again.`;
}

/** The engine is Debian's build of pocketsphinx with Debian's model, so elsewhere a Debian container is the one way. */
function withoutDebian() {
  const command =
    'docker run --rm -it -p 8000:8000 -e SERVER_BIND_HOST=0.0.0.0 -v "$PWD":/app -v /app/node_modules -w /app node:20-bookworm npm start';
  return `This machine has no apt-get, and the demonstration engine is made of Debian packages: run \`${command}\`.`;
}
