import type { Redis } from 'ioredis';
import { z } from 'zod';
import { redisFault } from '../redis.ts';
import { readLua } from '../scripts.ts';

export const SESSION_SCRIPTS = ['open', 'save', 'resume', 'end', 'charge', 'total'] as const;
export type SessionScript = (typeof SESSION_SCRIPTS)[number];

export type Argument = string | number;
type Command = (...args: Argument[]) => Promise<unknown>;

/** A wrong day is answered with the right one, so a second try fails only if midnight lies between the two. */
const DAY_TRIES = 3;

const DayReply = z.tuple([z.literal('day'), z.int()]);

/** Source of lua/sessions/<name>.lua with what it includes. */
export function loadSessionScript(name: SessionScript): string {
  return readLua(`sessions/${name}.lua`);
}

/** The scripts for sessions and usage on one connection. */
export class SessionScripts {
  readonly #redis: Redis;
  /** Redis' present day, as far as it is known here. */
  #day = 0;

  constructor(redis: Redis) {
    this.#redis = redis;
    for (const name of SESSION_SCRIPTS) {
      if (commandOf(redis, name) !== undefined) continue;
      redis.defineCommand(commandName(name), { lua: loadSessionScript(name) });
    }
  }

  /** Throws `RedisUnavailable` when Redis cannot be asked. */
  async run(
    name: SessionScript,
    keys: readonly string[],
    args: readonly Argument[],
  ): Promise<unknown> {
    const command = commandOf(this.#redis, name);
    if (command === undefined) throw new Error(`script ${name} is not defined`);
    try {
      return await command.call(this.#redis, keys.length, ...keys, ...args);
    } catch (error) {
      throw redisFault(error);
    }
  }

  /** Runs a step that books into the keys of the present UTC day. Which day that is, only the clock of Redis says. */
  async runToday(
    name: SessionScript,
    keysOn: (day: number) => readonly string[],
    args: readonly Argument[],
  ): Promise<{ readonly day: number; readonly reply: unknown }> {
    for (let tries = 0; tries < DAY_TRIES; tries += 1) {
      const day = this.#day;
      const reply = await this.run(name, keysOn(day), [day, ...args]);
      const other = DayReply.safeParse(reply);
      if (!other.success) return { day, reply };
      this.#day = other.data[1];
    }
    throw new Error(`script ${name}: the clock of Redis jumps from day to day`);
  }
}

function commandName(name: SessionScript): string {
  return `vf:session:${name}`;
}

/** ioredis puts a defined command on the client as a method that its types do not know. */
function commandOf(redis: Redis, name: SessionScript): Command | undefined {
  return (redis as unknown as Record<string, Command | undefined>)[commandName(name)];
}
