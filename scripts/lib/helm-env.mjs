// To be preloaded (`--import`): where helm of both majors is, in the environment.
import { env } from 'node:process';
import { ensureHelm } from './helm.mjs';
import { ensureNodeModules } from './node-modules.mjs';
import { say } from './output.mjs';

try {
  await ensureNodeModules();
  Object.assign(env, await ensureHelm());
} catch (error) {
  say(error.message);
  process.exit(1);
}
