/** What `lend` gives; returning it twice does nothing. */
export interface Loan<Item> {
  readonly item: Item;
  giveBack(): void;
}

/** Makes costly things when they are first needed, up to a limit; past it, borrowers wait their turn. */
export class DecoderPool<Item> {
  readonly #make: () => Promise<Item>;
  readonly #limit: number;
  readonly #free: Item[] = [];
  readonly #waiting: ((item: Item) => void)[] = [];
  #made = 0;

  constructor(limit: number, make: () => Promise<Item>) {
    this.#limit = limit;
    this.#make = make;
  }

  async lend(): Promise<Loan<Item>> {
    const item = await this.#take();
    let lent = true;
    return {
      item,
      giveBack: () => {
        if (lent) this.#put(item);
        lent = false;
      },
    };
  }

  async #take(): Promise<Item> {
    const free = this.#free.pop();
    if (free !== undefined) return free;
    if (this.#made < this.#limit) {
      this.#made += 1;
      return this.#make();
    }
    return new Promise((resolve) => this.#waiting.push(resolve));
  }

  #put(item: Item): void {
    const next = this.#waiting.shift();
    if (next) next(item);
    else this.#free.push(item);
  }
}
