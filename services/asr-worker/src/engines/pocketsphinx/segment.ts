import type { Word } from '@voice-fleet/speech/words';
import type { Decoder } from './decoder.ts';
import type { DecoderPool, Loan } from './decoder-pool.ts';
import { Dither } from './dither.ts';
import type { FrontEnd } from './front-end.ts';
import { isImagined, spokenWords } from './hypothesis.ts';
import type { Resume } from './messages.ts';
import { SpeakerMean } from './speaker-mean.ts';
import { FRAME_SAMPLES, VoiceGate } from './voice-gate.ts';
import { WordSettler } from './word-settler.ts';

/** The decoder is fed 100 ms at a time whatever comes in: how audio was cut must not change the words. */
const BLOCK_SAMPLES = 1_600;
/** Silence before the first word that is decoded with it; what lies before is skipped. */
const LEAD_IN_BLOCKS = 5;

export interface SegmentDeps {
  readonly pool: Pick<DecoderPool<Decoder>, 'lend'>;
  readonly frontEnd: Pick<FrontEnd, 'cepstraOf'>;
  /** Before and after a decoder was waited for. */
  readonly onLending: (state: 'queued' | 'lent') => void;
  readonly onDecoded: (decodedSamples: number, words: readonly Word[], tail: string) => void;
}

/**
 * One utterance from PCM to words. Audio waits until the speaker's mean cepstrum is known - from the session, or from
 * this segment's own first second of voice - and a decoder is lent only then. One call at a time.
 */
export class Segment {
  readonly #deps: SegmentDeps;
  readonly #gate = new VoiceGate();
  readonly #dither = new Dither();
  readonly #heard = new SpeakerMean();
  readonly #settler: WordSettler;
  readonly #block = new Int16Array(BLOCK_SAMPLES);
  #blockBytes = 0;
  /** Blocks not decoded yet, dithered. */
  #backlog: Int16Array[] = [];
  #takenSamples = 0;
  #skippedSamples = 0;
  #decodedSamples = 0;
  #mean: readonly number[] | undefined;
  #loan: Loan<Decoder> | undefined;
  #aborted = false;

  constructor(deps: SegmentDeps, mean?: readonly number[], resume?: Resume) {
    this.#deps = deps;
    this.#mean = mean;
    this.#settler = new WordSettler(resume?.lastWord, resume?.decodedSamples);
  }

  /** Settles when all whole blocks are decoded, or wait for the mean. */
  async write(pcm: Uint8Array): Promise<void> {
    const block = new Uint8Array(this.#block.buffer);
    for (let at = 0; at < pcm.length && !this.#aborted; ) {
      const part = pcm.subarray(at, at + block.length - this.#blockBytes);
      block.set(part, this.#blockBytes);
      at += part.length;
      this.#blockBytes += part.length;
      if (this.#blockBytes === block.length) await this.#takeBlock(this.#block);
    }
  }

  /** Decodes what is left and settles every word; returns the speaker's mean, where enough was heard to know it. */
  async finish(): Promise<readonly number[] | undefined> {
    const rest = this.#block.subarray(0, this.#blockBytes >> 1);
    if (rest.length > 0) await this.#takeBlock(rest);
    // Less than a second of voice: a poor mean is still better than none.
    this.#mean ??= this.#heard.value;
    await this.#decodeBacklog();
    await this.#settleAll();
    return this.#heard.isPrimed ? this.#heard.value : undefined;
  }

  /** Gives the decoder back. Call it when no other call is running. */
  async close(): Promise<void> {
    await this.#loan?.item.end();
    this.#loan?.giveBack();
    this.#loan = undefined;
  }

  /** Stops running calls at the next block. */
  abort(): void {
    this.#aborted = true;
  }

  async #takeBlock(samples: Int16Array): Promise<void> {
    this.#blockBytes = 0;
    const fromFrame = this.#takenSamples / FRAME_SAMPLES;
    this.#takenSamples += samples.length;
    this.#gate.observe(samples);
    const block = samples.slice();
    this.#dither.apply(block);
    this.#heard.add(this.#deps.frontEnd.cepstraOf(block), (frame) =>
      this.#gate.isVoiced(fromFrame + frame),
    );
    this.#backlog.push(block);
    if (this.#gate.voicedFrames === 0) return this.#skipSilence();
    if (this.#heard.isPrimed) this.#mean ??= this.#heard.value;
    await this.#decodeBacklog();
  }

  #skipSilence(): void {
    if (this.#backlog.length <= LEAD_IN_BLOCKS) return;
    this.#skippedSamples += this.#backlog.shift()?.length ?? 0;
  }

  async #decodeBacklog(): Promise<void> {
    if (!this.#mean || this.#gate.voicedFrames === 0) return;
    for (const block of this.#backlog.splice(0)) {
      if (this.#aborted) return;
      const decoder = await this.#borrow(this.#mean);
      if (this.#aborted) return;
      await decoder.decode(block);
      this.#decodedSamples += block.length;
      const decodedSamples = this.#skippedSamples + this.#decodedSamples;
      const words = this.#settler.observe(this.#words(decoder), decodedSamples);
      this.#deps.onDecoded(decodedSamples, words, this.#settler.tail);
    }
  }

  async #borrow(mean: readonly number[]): Promise<Decoder> {
    if (!this.#loan) {
      this.#deps.onLending('queued');
      this.#loan = await this.#deps.pool.lend();
      this.#deps.onLending('lent');
      this.#loan.item.start(mean);
    }
    return this.#loan.item;
  }

  async #settleAll(): Promise<void> {
    const decoder = this.#loan?.item;
    if (!decoder || this.#aborted) return;
    await decoder.end();
    await decoder.rescore();
    const heard = this.#words(decoder);
    const words = this.#settler.finish(isImagined(heard, this.#gate) ? [] : heard);
    this.#deps.onDecoded(this.#skippedSamples + this.#decodedSamples, words, '');
  }

  #words(decoder: Decoder): Word[] {
    const totalSamples = this.#skippedSamples + this.#decodedSamples;
    return spokenWords(decoder.words(), this.#gate, this.#skippedSamples, totalSamples);
  }
}
