import { readFileSync } from 'node:fs';
import type { Redis } from 'ioredis';
import { fleetKeys, scriptKeys } from './keys.ts';
import { redisFault } from './redis.ts';

export const SCRIPT_NAMES = [
  'acquire',
  'look',
  'poll',
  'abandon',
  'renew',
  'release',
  'verify',
  'heartbeat',
  'deregister',
  'capacity',
  'models',
  'delays',
] as const;
export type ScriptName = (typeof SCRIPT_NAMES)[number];

type Argument = string | number;
type Command = (...args: Argument[]) => Promise<unknown>;

const LUA_FOLDER = new URL('./lua/', import.meta.url);
const INCLUDE = /^-- @include (\S+)$/gm;

/** Source of a script of a fleet. */
export function loadScript(name: ScriptName): string {
  return readLua(`${name}.lua`);
}

/** A file of the lua folder, its `-- @include name` lines replaced by lua/includes/<name>.lua, each at its first mention only. */
export function readLua(file: string): string {
  const included = new Set<string>();
  const expand = (path: string): string =>
    readFileSync(new URL(path, LUA_FOLDER), 'utf8').replace(INCLUDE, (_line, include: string) => {
      if (included.has(include)) return '';
      included.add(include);
      return expand(`includes/${include}.lua`);
    });
  return expand(file);
}

/** The scripts of one fleet on one connection. */
export class FleetScripts {
  readonly #redis: Redis;
  readonly #keys: readonly string[];

  constructor(redis: Redis, fleet: string) {
    this.#redis = redis;
    this.#keys = scriptKeys(fleetKeys(fleet));
    for (const name of SCRIPT_NAMES) {
      if (commandOf(redis, name) !== undefined) continue;
      redis.defineCommand(commandName(name), {
        numberOfKeys: this.#keys.length,
        lua: loadScript(name),
      });
    }
  }

  /** Throws `RedisUnavailable` when Redis cannot be asked. */
  async run(name: ScriptName, ...args: Argument[]): Promise<unknown> {
    const command = commandOf(this.#redis, name);
    if (command === undefined) throw new Error(`script ${name} is not defined`);
    try {
      return await command.call(this.#redis, ...this.#keys, ...args);
    } catch (error) {
      throw redisFault(error);
    }
  }
}

function commandName(name: ScriptName): string {
  return `vf:${name}`;
}

/** ioredis puts a defined command on the client as a method that its types do not know. */
function commandOf(redis: Redis, name: ScriptName): Command | undefined {
  return (redis as unknown as Record<string, Command | undefined>)[commandName(name)];
}
