/** As with WAV. Decoders make as many as a recording tells of, and a few bytes can tell of many. */
export const MAX_CHANNELS = 8;

/** A recording that cannot be decoded; the message ends a sentence that says so. */
export class Damaged extends Error {
  override readonly name = 'Damaged';
}

/** Throws Damaged for more channels than are read. */
export function checkChannels(channels: number): void {
  if (channels > MAX_CHANNELS)
    throw new Damaged(`it has ${channels} channels, more than ${MAX_CHANNELS}`);
}

/** Every place of `name` in `bytes`. */
export function* placesOf(name: string, bytes: Buffer, from = 0): Generator<number> {
  for (let at = bytes.indexOf(name, from, 'latin1'); at >= 0; ) {
    yield at;
    at = bytes.indexOf(name, at + 1, 'latin1');
  }
}
