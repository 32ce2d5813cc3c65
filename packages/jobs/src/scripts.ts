import { readFileSync } from 'node:fs';
import { redisFault } from '@voice-fleet/fleet/redis';
import type { Redis } from 'ioredis';

/** Keys of each script of the lua folder, counted. */
const KEYS = {
  create: 6,
  begin: 2,
  append: 2,
  leave: 1,
  end: 6,
  rank: 2,
  ranked: 2,
  'webhook-take': 3,
  'webhook-begin': 3,
  'webhook-settle': 4,
  'webhook-redeliver': 2,
} as const;
export type JobScript = keyof typeof KEYS;

type Argument = string | number;
type Command = (...args: Argument[]) => Promise<unknown>;

/** The scripts of batch jobs on one connection. */
export class JobScripts {
  readonly #redis: Redis;

  constructor(redis: Redis) {
    this.#redis = redis;
    for (const [name, numberOfKeys] of Object.entries(KEYS)) {
      if (command(redis, name) !== undefined) continue;
      const lua = readFileSync(new URL(`./lua/${name}.lua`, import.meta.url), 'utf8');
      redis.defineCommand(commandName(name), { numberOfKeys, lua });
    }
  }

  /** Throws `RedisUnavailable` when Redis cannot be asked. */
  async run(name: JobScript, keys: readonly string[], args: readonly Argument[]): Promise<unknown> {
    try {
      return await command(this.#redis, name)?.call(this.#redis, ...keys, ...args);
    } catch (error) {
      throw redisFault(error);
    }
  }
}

function commandName(name: string): string {
  return `vfJobs_${name}`;
}

function command(redis: Redis, name: string): Command | undefined {
  return (redis as unknown as Record<string, Command | undefined>)[commandName(name)];
}
