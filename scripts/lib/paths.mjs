import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

/** The folder of package.json. */
export const repoRoot = fileURLToPath(new URL('../..', import.meta.url)).replace(/\/$/, '');

/** Small helpers that setup makes, such as a `redis-server` link. */
export const binFolder = join(repoRoot, '.cache/bin');

/** Where Debian packages are unpacked for a user who may not install them; asr-worker looks here too. */
export const debianFolder = join(repoRoot, '.cache/debian');
export const unpackedRoot = join(debianFolder, 'root');

/** Programs that come from npm packages, such as helm. */
export const toolsFolder = join(repoRoot, '.cache/tools');
