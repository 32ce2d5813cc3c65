import type { Dialect } from './dialect.ts';

/** The dialects this gateway speaks, by path. */
export class Dialects {
  readonly #byPath = new Map<string, Dialect>();
  readonly names: readonly string[];

  constructor(dialects: readonly Dialect[]) {
    this.names = dialects.map((dialect) => dialect.name);
    for (const dialect of dialects) {
      for (const path of dialect.paths) this.#byPath.set(path, dialect);
    }
  }

  at(path: string): Dialect | undefined {
    return this.#byPath.get(path);
  }
}
