import { execFile } from 'node:child_process';
import { accessSync, constants } from 'node:fs';
import { delimiter, join } from 'node:path';
import { env } from 'node:process';
import { promisify } from 'node:util';
import { repoRoot } from '../paths.mjs';
import { run } from '../run.mjs';

/** Images and containers of our own, so that those of the user of this machine stay as they are. */
export const imagesFolder = join(repoRoot, '.cache/images');
/** Layers are mounted over each other. Copied, as where that cannot be done, one build takes 40 GB. */
const STORE = [
  '--root',
  join(imagesFolder, 'storage'),
  '--runroot',
  join(imagesFolder, 'run'),
  '--storage-driver',
  'overlay',
];
const MAX_BYTES = 16 * 1024 * 1024;

/** Whether there is such a program on PATH. */
export function onPath(program) {
  return (env.PATH ?? '').split(delimiter).some((folder) => {
    try {
      accessSync(join(folder, program), constants.X_OK);
      return true;
    } catch {
      return false;
    }
  });
}

/** Runs buildah on our own store and gives what it prints. */
export async function buildah(...args) {
  const done = await promisify(execFile)('buildah', [...STORE, ...args], { maxBuffer: MAX_BYTES });
  return done.stdout.trim();
}

/** Builds an image; its lines are shown under `name`. With `pull` bases come from a registry, else they must be there. */
export async function build({ name, tag, context, file, args = {}, pull = false }) {
  const settings = Object.entries(args).flatMap(([key, value]) => [
    '--build-arg',
    `${key}=${value}`,
  ]);
  const words = ['bud', '--isolation', 'chroot', '--layers', '--format', 'docker', ...settings];
  const where = ['--file', file, '--tag', tag, context];
  await run(name, 'buildah', [...STORE, ...words, pull ? '--pull' : '--pull-never', ...where]);
}

/** Whether an image of this name is in our store. */
export async function hasImage(tag) {
  return buildah('inspect', '--type', 'image', tag).then(
    () => true,
    () => false,
  );
}

/** What an image says of how it is run, and its size as a person reads it. */
export async function readImage(tag) {
  const { Docker: docker } = JSON.parse(await buildah('inspect', '--type', 'image', tag));
  // A line for each name that the image has.
  const [size] = (await buildah('images', '--format', '{{.Size}}', tag)).split('\n');
  return { ...docker.config, size };
}

/** Calls `work` with the folder of a container's files, which is gone afterwards. */
export async function withFiles(tag, work) {
  const container = await buildah('from', '--pull-never', tag);
  try {
    return await work(await buildah('mount', container));
  } finally {
    await buildah('rm', container);
  }
}
