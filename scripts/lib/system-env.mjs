// To be preloaded (`--import`): what the program's children need of the operating system, such as Redis, is in its environment.
import { env } from 'node:process';
import { ensureSystem } from './system.mjs';

Object.assign(env, (await ensureSystem()).env);
