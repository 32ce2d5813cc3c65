const WORD_SAMPLES = 5_120;
const SAMPLE_RATE = 16_000;
/** A word is known once so much audio behind it is: the model's delay of 480 ms. */
const DELAY_SAMPLES = 7_680;

/**
 * Understands coded speech: a word is a run of samples of one value, 320 ms long, and silence is zero. Half a word is
 * enough. Like the model, it looks at the audio in batches, and tells a word 480 ms after it, or at the end.
 */
export class CodedWords {
  #batchSamples;
  #resetSamples;
  #onWord;
  #rest = Buffer.alloc(0);
  #heard = 0;
  #value = 0;
  #run = 0;
  /** Words that the delay holds back, and where they ended. */
  #known = [];
  #nextBatchAt;
  #nextResetAt;

  /** `resetAfterS`: after so much audio all that is not told yet is forgotten, and so on. */
  constructor({ batchSamples, resetAfterS = Number.POSITIVE_INFINITY, onWord }) {
    this.#batchSamples = batchSamples;
    this.#resetSamples = resetAfterS * SAMPLE_RATE;
    this.#onWord = onWord;
    this.#nextBatchAt = batchSamples;
    this.#nextResetAt = this.#resetSamples;
  }

  /** Takes PCM16 LE, cut anywhere. */
  hear(pcm) {
    const bytes = this.#rest.length > 0 ? Buffer.concat([this.#rest, pcm]) : pcm;
    const samples = bytes.length >> 1;
    for (let at = 0; at < samples; at += 1) this.#sample(bytes.readInt16LE(at * 2));
    this.#rest = Buffer.from(bytes.subarray(samples * 2));
    if (this.#heard >= this.#nextResetAt) {
      this.#nextResetAt += this.#resetSamples;
      this.#known = [];
      this.#run = 0;
    }
    if (this.#heard < this.#nextBatchAt) return;
    this.#nextBatchAt = this.#heard + this.#batchSamples;
    this.#tell(this.#heard - DELAY_SAMPLES);
  }

  end() {
    this.#endRun();
    this.#tell(Number.POSITIVE_INFINITY);
  }

  #sample(value) {
    if (value !== this.#value) {
      this.#endRun();
      this.#value = value;
    }
    this.#run += 1;
    this.#heard += 1;
  }

  #endRun() {
    if (this.#value !== 0 && this.#run >= WORD_SAMPLES / 2)
      this.#known.push({ value: this.#value, endSample: this.#heard });
    this.#run = 0;
  }

  #tell(untilSample) {
    while (this.#known.length > 0 && this.#known[0].endSample <= untilSample)
      this.#onWord(this.#known.shift().value);
  }
}
