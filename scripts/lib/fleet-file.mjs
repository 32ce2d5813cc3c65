import { mkdirSync, readdirSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { repoRoot } from './paths.mjs';

/** One file for each fleet that runs on this machine, in the format in which Prometheus finds what to scrape. */
export const fleetFolder = join(repoRoot, '.cache/fleets');

/** Tells where the parts of this process's fleet serve their metrics, until this process ends. */
export function announceFleet(parts) {
  const targets = parts.map(({ job, name, internalPort }) => ({
    targets: [`127.0.0.1:${internalPort}`],
    labels: { job, instance: name },
  }));
  const file = join(fleetFolder, `${process.pid}.json`);
  mkdirSync(fleetFolder, { recursive: true });
  // Whole or not at all: Prometheus may be reading.
  writeFileSync(`${file}.part`, JSON.stringify(targets));
  renameSync(`${file}.part`, file);
  process.once('exit', () => rmSync(file, { force: true }));
}

/** Removes what fleets have left that were killed; how many there are now. */
export function sweepFleets() {
  mkdirSync(fleetFolder, { recursive: true });
  const names = readdirSync(fleetFolder).filter((name) => /^\d+\.json$/.test(name));
  const dead = names.filter((name) => !isAlive(Number.parseInt(name, 10)));
  for (const name of dead) rmSync(join(fleetFolder, name), { force: true });
  return names.length - dead.length;
}

function isAlive(pid) {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return error.code === 'EPERM';
  }
}
