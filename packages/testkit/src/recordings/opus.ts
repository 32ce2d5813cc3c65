import { oggPage } from '@voice-fleet/media/encode/ogg-page';

/** Two frames of 60 ms without a byte: 120 ms, the most that a packet may have, in the fewest bytes. */
const EMPTY = Buffer.of((3 << 3) | 1);
const EMPTY_SAMPLES = 5_760;
/** Each takes a segment, and a page has that many. */
const PAGE_PACKETS = 255;

/** The head of an Opus stream; all channels come from its one stream if there are more than two. */
export function opusHead(channels = 1): Buffer {
  const head = Buffer.alloc(channels > 2 ? 21 + channels : 19);
  head.write('OpusHead', 0, 'latin1');
  head[8] = 1;
  head[9] = channels;
  head.writeUInt32LE(48_000, 12);
  if (channels > 2) head.set([255, 1, 0], 18);
  return head;
}

/** Opus in Ogg whose packets hold two bytes for each 120 ms. */
export function opusBomb(seconds: number, channels = 1): Buffer {
  const tags = Buffer.concat([Buffer.from('OpusTags'), Buffer.alloc(8)]);
  const serial = 1;
  const pages = [
    oggPage({ serial, sequence: 0, granule: 0, packets: [opusHead(channels)], isFirst: true }),
    oggPage({ serial, sequence: 1, granule: 0, packets: [tags] }),
  ];
  const count = Math.ceil((seconds * 48_000) / EMPTY_SAMPLES / PAGE_PACKETS);
  const packets = opusSilence(PAGE_PACKETS);
  for (let nth = 1; nth <= count; nth += 1) {
    const granule = nth * PAGE_PACKETS * EMPTY_SAMPLES;
    pages.push(oggPage({ serial, sequence: 1 + nth, granule, packets, isLast: nth === count }));
  }
  return Buffer.concat(pages);
}

/** Packets of 120 ms each, of one byte. */
export const opusSilence = (packets: number): Buffer[] =>
  Array.from({ length: packets }, () => EMPTY);
