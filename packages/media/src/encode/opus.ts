import { randomBytes } from 'node:crypto';
import { Encoder } from '@evan/opus';
import type { SpeechEncoder } from './encoder.ts';
import { oggPage } from './ogg-page.ts';

type OpusRate = 8000 | 12_000 | 16_000 | 24_000 | 48_000;

const BITS_PER_S = 32_000;
const FRAMES_PER_S = 50;
/** Packets of a page: 200 ms, the most that a listener waits for. */
const PAGE_PACKETS = 10;
/** Ogg counts at this rate whatever the encoder was given. */
const GRANULES_PER_S = 48_000;
/** What the encoder looks ahead, at 48 kHz: players leave it out. */
const PRE_SKIP = 312;

/** Opus in Ogg (RFC 7845), a page every 200 ms. */
export class OpusEncoder implements SpeechEncoder {
  readonly #encoder: Encoder;
  readonly #serial = randomBytes(4).readUInt32LE();
  readonly #sampleRate: number;
  readonly #frame: Int16Array;
  #filled = 0;
  #samples = 0;
  #packets: Buffer[] = [];
  #encoded = 0;
  #sequence = 0;

  constructor(sampleRate: OpusRate) {
    this.#sampleRate = sampleRate;
    this.#encoder = new Encoder({ channels: 1, sample_rate: sampleRate, application: 'voip' });
    this.#encoder.bitrate = BITS_PER_S;
    this.#frame = new Int16Array(sampleRate / FRAMES_PER_S);
  }

  push(pcm: Int16Array): Buffer {
    const pages = this.#begin();
    this.#samples += pcm.length;
    for (let at = 0; at < pcm.length; ) {
      const piece = pcm.subarray(at, at + this.#frame.length - this.#filled);
      this.#frame.set(piece, this.#filled);
      this.#filled += piece.length;
      at += piece.length;
      if (this.#filled < this.#frame.length) continue;
      // The last page must hold something, so a full one waits for the next packet.
      if (this.#packets.length === PAGE_PACKETS) pages.push(this.#page(false));
      this.#encode();
    }
    return Buffer.concat(pages);
  }

  end(): Buffer {
    const pages = this.#begin();
    const lookahead = (PRE_SKIP * this.#sampleRate) / GRANULES_PER_S;
    const needed = Math.ceil((this.#samples + lookahead) / this.#frame.length);
    while (this.#encoded < needed) {
      this.#frame.fill(0, this.#filled);
      if (this.#packets.length === PAGE_PACKETS) pages.push(this.#page(false));
      this.#encode();
    }
    pages.push(this.#page(true));
    return Buffer.concat(pages);
  }

  close(): void {}

  #encode(): void {
    // Its answer is overwritten by the next one.
    this.#packets.push(Buffer.from(this.#encoder.encode(this.#frame)));
    this.#encoded += 1;
    this.#filled = 0;
  }

  /** The last page tells how much of its audio counts. */
  #page(isLast: boolean): Buffer {
    const samples = isLast ? this.#samples : this.#encoded * this.#frame.length;
    const counted = (samples * GRANULES_PER_S) / this.#sampleRate;
    const granule = Math.round(isLast ? counted + PRE_SKIP : counted);
    const packets = this.#packets;
    this.#packets = [];
    return this.#write({ granule, packets, isLast });
  }

  #begin(): Buffer[] {
    if (this.#sequence > 0) return [];
    const head = Buffer.alloc(19);
    head.write('OpusHead', 0, 'latin1');
    head[8] = 1;
    head[9] = 1;
    head.writeUInt16LE(PRE_SKIP, 10);
    head.writeUInt32LE(this.#sampleRate, 12);
    const vendor = Buffer.from('voice-fleet');
    const tags = Buffer.alloc(16 + vendor.length);
    tags.write('OpusTags', 0, 'latin1');
    tags.writeUInt32LE(vendor.length, 8);
    vendor.copy(tags, 12);
    return [
      this.#write({ granule: 0, packets: [head], isFirst: true }),
      this.#write({ granule: 0, packets: [tags] }),
    ];
  }

  #write(page: {
    readonly granule: number;
    readonly packets: readonly Uint8Array[];
    readonly isFirst?: boolean;
    readonly isLast?: boolean;
  }): Buffer {
    return oggPage({ ...page, serial: this.#serial, sequence: this.#sequence++ });
  }
}
