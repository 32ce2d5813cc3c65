/** More than a reply has; a server that leaves a gap for ever must not fill the memory. */
const MAX_HELD = 64;

/** Puts phrases into the order of their numbers, however their decoding ends. */
export class PlayOrder {
  #next;
  #held = new Map();

  /** Says that a phrase will come: numbers are told in the order of the wire. */
  expect(seq) {
    this.#next ??= seq;
  }

  /** Takes one phrase and gives those that may be played now. One that comes too late is left out. */
  put(seq, phrase) {
    this.expect(seq);
    if (seq < this.#next) return [];
    this.#held.set(seq, phrase);
    if (this.#held.size > MAX_HELD) this.#next = Math.min(...this.#held.keys());
    return this.#ready();
  }

  /** One phrase will not come. Gives those that waited for it. */
  skip(seq) {
    return this.put(seq, undefined);
  }

  /** Forgets all; the next number that is told is the first. */
  clear() {
    this.#next = undefined;
    this.#held.clear();
  }

  #ready() {
    const ready = [];
    while (this.#held.has(this.#next)) {
      const phrase = this.#held.get(this.#next);
      this.#held.delete(this.#next);
      this.#next += 1;
      if (phrase !== undefined) ready.push(phrase);
    }
    return ready;
  }
}
