import { VoiceError } from '@voice-fleet/protocol/errors';
import type { TurnEvent } from '@voice-fleet/protocol/turn';
import { Resampler } from '@voice-fleet/speech/resample';
import { readWav, writeWav } from '@voice-fleet/speech/wav';

/** A reply of so much speech is none that a model was asked for: ten minutes at 24 kHz. */
const MAX_SPEECH_BYTES = 10 * 60 * 24_000 * 2;

export interface SpokenReply {
  readonly text: string;
  /** Names the model that answered. */
  readonly model: string;
  /** All phrases in one WAV file; absent when nothing was spoken. */
  readonly wav: Buffer | undefined;
  /** Phrases that could not be spoken, or were left out. */
  readonly missingPhrases: number;
}

/** Reads a turn to its end. Rejects with VoiceError when the model fails; a phrase that cannot be spoken is left out. */
export async function collectReply(events: AsyncIterable<TurnEvent>): Promise<SpokenReply> {
  const speech = new Speech();
  let text = '';
  let model = '';
  let missingPhrases = 0;
  for await (const event of events) {
    switch (event.type) {
      case 'started':
        model = event.model;
        break;
      case 'token':
        text += event.text;
        break;
      case 'speech':
        speech.add(Buffer.from(event.audio, 'base64'));
        break;
      case 'phrase_dropped':
        missingPhrases += 1;
        break;
      case 'error':
        if (event.code === 'llm_timeout' || event.code === 'llm_failed')
          throw new VoiceError(event.code);
        missingPhrases += 1;
        break;
      case 'complete':
        return { text, model, wav: speech.wav(), missingPhrases };
      case 'phrase_done':
    }
  }
  throw new VoiceError('llm_failed', { cause: 'the turn broke off' });
}

/** Phrases one after the other, at the rate of the first. */
class Speech {
  #sampleRate = 0;
  #bytes = 0;
  readonly #pieces: Buffer[] = [];

  add(wav: Buffer): void {
    const { pcm, sampleRate } = readWav(wav);
    if (this.#sampleRate === 0) this.#sampleRate = sampleRate;
    const piece =
      sampleRate === this.#sampleRate ? pcm : resampled(pcm, sampleRate, this.#sampleRate);
    this.#bytes += piece.length;
    if (this.#bytes > MAX_SPEECH_BYTES)
      throw new VoiceError('tts_failed', { message: 'The reply is too long to be spoken.' });
    this.#pieces.push(piece);
  }

  wav(): Buffer | undefined {
    if (this.#bytes === 0) return undefined;
    return writeWav(Buffer.concat(this.#pieces), this.#sampleRate);
  }
}

function resampled(pcm: Buffer, fromRate: number, toRate: number): Buffer {
  const samples = new Int16Array(pcm.length >> 1);
  for (let at = 0; at < samples.length; at += 1) samples[at] = pcm.readInt16LE(2 * at);
  const resampler = new Resampler(fromRate, toRate);
  const parts = [resampler.push(samples), resampler.flush()];
  return Buffer.concat(
    parts.map((part) => Buffer.from(part.buffer, part.byteOffset, part.byteLength)),
  );
}
