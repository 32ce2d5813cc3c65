/** dB below full scale. The floor starts where a quiet room is, and never sinks to digital silence. */
const START_FLOOR_DB = -50;
const LOWEST_FLOOR_DB = -62;
/** Speech stands out of the noise by more than this. */
export const VOICE_MARGIN_DB = 9;
/** For each 10 ms: so slow that words do not lift the floor, fast enough to learn steady noise. */
const FLOOR_RISE_DB = 0.03;

/**
 * Tells 10 ms that may hold a voice from steady background by energy alone. Enough to keep silence and hiss apart from
 * words; typing and music pass, they are a real detector's business.
 */
export class NoiseFloor {
  #floorDb = START_FLOOR_DB;

  /** Takes the level of the next 10 ms, in dB against full scale. */
  isVoiced(levelDb: number): boolean {
    return this.excessDb(levelDb) > VOICE_MARGIN_DB;
  }

  /** The same, telling by how much the level stands out of the floor. */
  excessDb(levelDb: number): number {
    this.#floorDb = Math.max(LOWEST_FLOOR_DB, Math.min(levelDb, this.#floorDb + FLOOR_RISE_DB));
    return levelDb - this.#floorDb;
  }
}
