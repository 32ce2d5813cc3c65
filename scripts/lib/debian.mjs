import { spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, readdirSync, renameSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { tell } from './output.mjs';
import { debianFolder, unpackedRoot } from './paths.mjs';
import { run } from './run.mjs';

export function hasDebianTools() {
  return ['apt-get', 'dpkg'].every((name) => existsSync(join('/usr/bin', name)));
}

/** Whether this user may install packages: root, or sudo that asks for no password. */
export function canInstall() {
  return isRoot() || spawnSync('sudo', ['-n', 'true'], { stdio: 'ignore' }).status === 0;
}

/** Installs packages for the whole machine. None of ours brings a service, so nothing is started. */
export async function installPackages(packages) {
  const aptGet = (...args) => {
    const wait = ['-o', 'DPkg::Lock::Timeout=120'];
    const command = ['env', 'DEBIAN_FRONTEND=noninteractive', 'apt-get', '-q', ...wait, ...args];
    const [program, ...rest] = isRoot() ? command : ['sudo', '-n', ...command];
    return run('apt-get', program, rest);
  };
  // A list that cannot be fetched (say, of a third party) need not concern our packages.
  await aptGet('update').catch(() =>
    tell('setup', 'apt-get update failed; trying with the lists there are', 'yellow'),
  );
  await aptGet('install', '-y', '--no-install-recommends', ...packages);
}

/**
 * Unpacks packages, and what they depend on and this machine lacks, into .cache/debian/root; with `alone` without what they
 * depend on. Needs no rights.
 */
export async function unpackPackages(packages, { alone = false } = {}) {
  const lists = join(debianFolder, 'lists');
  const archives = join(debianFolder, 'archives');
  const ownLists = [
    '-o',
    `Dir::State::Lists=${lists}`,
    '-o',
    `Dir::Cache=${join(debianFolder, 'apt')}`,
  ];
  rmSync(archives, { recursive: true, force: true });
  for (const folder of [
    archives,
    join(lists, 'partial'),
    join(debianFolder, 'apt/archives/partial'),
  ]) {
    mkdirSync(folder, { recursive: true });
  }
  // The machine's own package lists first; they may be absent (fresh image) or too old to download from.
  try {
    await download(packages, archives, [], alone);
  } catch {
    tell(
      'setup',
      "this machine's package lists do not do: fetching fresh ones into .cache/debian",
      'cyan',
    );
    await run('apt-get', 'apt-get', ['-q', ...ownLists, 'update']);
    await download(packages, archives, ownLists, alone);
  }
  await unpack(archives);
  for (const folder of [lists, archives, join(debianFolder, 'apt')]) {
    rmSync(folder, { recursive: true, force: true });
  }
}

async function download(packages, folder, options, alone) {
  const names = alone ? packages : withMissingDependencies(packages, options);
  await run('apt-get', 'apt-get', ['-q', ...options, 'download', ...names], { cwd: folder });
}

/** What `apt-get install` would install here. Its simulation needs no rights and knows renamed packages. */
function withMissingDependencies(packages, options) {
  const args = ['install', '--simulate', '--reinstall', '-y', '--no-install-recommends'];
  const { status, stdout, stderr } = spawnSync(
    'apt-get',
    ['-q', ...options, ...args, ...packages],
    {
      encoding: 'utf8',
      env: { ...process.env, LC_ALL: 'C' },
    },
  );
  if (status !== 0) throw new Error(`apt-get cannot find ${packages.join(', ')}: ${stderr.trim()}`);
  const names = [...stdout.matchAll(/^Inst (\S+)/gm)].map(([, name]) => name);
  // A C library next to the one that is running breaks every program that would load it.
  return names.filter((name) => !/^(libc6|libc-bin)(:|$)/.test(name));
}

/** Unpacks beside the target and renames at the end, so that what is found there is always whole. */
async function unpack(archives) {
  const target = `${unpackedRoot}.partial`;
  rmSync(target, { recursive: true, force: true });
  if (existsSync(unpackedRoot)) renameSync(unpackedRoot, target);
  mkdirSync(target, { recursive: true });
  for (const archive of readdirSync(archives).filter((name) => name.endsWith('.deb'))) {
    await run('dpkg', 'dpkg', ['-x', join(archives, archive), target]);
  }
  renameSync(target, unpackedRoot);
}

function isRoot() {
  return process.getuid?.() === 0;
}
