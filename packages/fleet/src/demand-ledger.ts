import type { Redis } from 'ioredis';
import { z } from 'zod';
import { askedKey } from './keys.ts';
import { redisFault } from './redis.ts';
import { readLua } from './scripts.ts';

/** By the model that was named; '' for those who named none. */
const ByModel = z.record(z.string(), z.number().min(0));

const Asked = z.object({
  /** Clients that wait for a slot before they may stand in line. */
  waiting: ByModel,
  /** Sessions that got no slot within the last minute, for there was none. */
  refused: ByModel,
  /** New sessions since the gateway's start, those that were refused included. */
  came: ByModel,
});

/** What clients have asked of one gateway, as far as no other trace of it is in Redis. */
export type Asked = Readonly<z.infer<typeof Asked>>;

/** A gateway that has noted nothing for so long is gone. Three times as long as gateways take from note to note. */
export const NOTE_TTL_MS = 15_000;
/** Of a fleet whose gateways are all gone nothing is left. */
const FORGOTTEN_MS = 3_600_000;

const Reply = z.array(z.string());
const COMMAND = 'vf:demand:exchange';

/** What the gateways of a fleet tell each other of their clients. One hash, a field for each gateway. */
export class DemandLedger {
  readonly #redis: Redis;
  readonly #key: string;

  constructor(redis: Redis, options: { readonly fleet: string }) {
    this.#redis = redis;
    this.#key = askedKey(options.fleet);
    if (commandOf(redis) === undefined)
      redis.defineCommand(COMMAND, { numberOfKeys: 1, lua: readLua('demand/exchange.lua') });
  }

  /** Notes what one gateway was asked for; answers with what all have noted, by gateway. Throws `RedisUnavailable`. */
  async exchange(gatewayId: string, asked: Asked): Promise<ReadonlyMap<string, Asked>> {
    const command = commandOf(this.#redis);
    if (command === undefined) throw new Error(`${COMMAND} is not defined`);
    const args = [gatewayId, JSON.stringify(asked), NOTE_TTL_MS, FORGOTTEN_MS];
    const answered = command.call(this.#redis, this.#key, ...args).catch((error: unknown) => {
      throw redisFault(error);
    });
    const reply = Reply.parse(await answered);
    const found = new Map<string, Asked>();
    for (let at = 0; at + 1 < reply.length; at += 2) {
      const note = readNote(reply[at + 1] ?? '');
      if (note !== undefined) found.set(reply[at] ?? '', note);
    }
    return found;
  }
}

/** Another version's gateway may note what this one cannot read: it does without. */
function readNote(text: string): Asked | undefined {
  try {
    return Asked.parse(JSON.parse(text));
  } catch {
    return undefined;
  }
}

type Command = (...args: (string | number)[]) => Promise<unknown>;

/** ioredis puts a defined command on the client as a method that its types do not know. */
function commandOf(redis: Redis): Command | undefined {
  return (redis as unknown as Record<string, Command | undefined>)[COMMAND];
}
