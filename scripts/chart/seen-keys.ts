import { isObject, type Json, type JsonObject } from './kubernetes-object.ts';

/** What a reader of an object has asked it for. */
export interface Watched {
  /** To be read in place of the object. */
  readonly object: JsonObject;
  /** Keys that are there and that nobody has asked for, where somebody has asked for others. */
  unread(): string[];
}

interface Seen {
  readonly keys: Set<string>;
  /** Whoever lists the keys takes any. */
  listed: boolean;
}

/**
 * Watches which keys are read. A validator that is made for a schema asks for each key of it by name, there or not: a key
 * it never asks for is one that the schema does not know. Objects of which nothing is asked may hold anything.
 */
export function watchReads(root: JsonObject): Watched {
  const seen = new Map<object, Seen>();
  const proxies = new Map<object, unknown>();

  const wrap = (value: unknown): unknown => {
    if (typeof value !== 'object' || value === null) return value;
    const known = proxies.get(value);
    if (known) return known;
    const proxy = Array.isArray(value)
      ? new Proxy(value, { get: (list, key) => wrap(Reflect.get(list, key)) })
      : watched(value);
    proxies.set(value, proxy);
    return proxy;
  };

  const watched = (value: object): object => {
    const own: Seen = { keys: new Set(), listed: false };
    seen.set(value, own);
    return new Proxy(value, {
      get(target, key) {
        if (typeof key === 'string') own.keys.add(key);
        return wrap(Reflect.get(target, key));
      },
      ownKeys(target) {
        own.listed = true;
        return Reflect.ownKeys(target);
      },
    });
  };

  const collect = (value: Json, path: string, found: string[]): void => {
    if (Array.isArray(value)) {
      for (const [index, one] of (value as readonly Json[]).entries()) {
        collect(one, `${path}[${index}]`, found);
      }
      return;
    }
    if (!isObject(value)) return;
    const own = seen.get(value);
    if (!own || (own.keys.size === 0 && !own.listed)) return;
    for (const [key, one] of Object.entries(value)) {
      const below = path === '' ? key : `${path}.${key}`;
      if (own.listed || own.keys.has(key)) collect(one, below, found);
      else found.push(below);
    }
  };

  return {
    object: wrap(root) as JsonObject,
    unread() {
      const found: string[] = [];
      collect(root, '', found);
      return found;
    },
  };
}
