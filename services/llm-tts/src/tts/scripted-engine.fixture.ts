import { writeWav } from '@voice-fleet/speech/wav';
import type { Phrase, SpeechAudio, TtsEngine } from './engine.ts';

interface Asked {
  readonly phrase: Phrase;
  readonly signal: AbortSignal;
  speak(): void;
  fail(error: Error): void;
}

/** An engine that speaks when the test says so. */
export class ScriptedEngine implements TtsEngine {
  readonly name = 'scripted';
  readonly asked: Asked[] = [];
  /** Ignores aborts, as an engine with a fault would. */
  isDeaf = false;
  #active = 0;
  mostAtATime = 0;

  get texts(): string[] {
    return this.asked.map(({ phrase }) => phrase.text);
  }

  synthesize(phrase: Phrase, signal: AbortSignal): Promise<SpeechAudio> {
    this.#active += 1;
    this.mostAtATime = Math.max(this.mostAtATime, this.#active);
    return new Promise<SpeechAudio>((resolve, reject) => {
      this.asked.push({ phrase, signal, speak: () => resolve(audioOf(phrase)), fail: reject });
      if (!this.isDeaf) signal.addEventListener('abort', () => reject(signal.reason));
    }).finally(() => {
      this.#active -= 1;
    });
  }

  /** The next one that is asked for `text` and was not answered. */
  at(text: string): Asked {
    const found = this.asked.find(({ phrase }) => phrase.text === text);
    if (!found) throw new Error(`nobody asked for "${text}", but for ${this.texts.join(' | ')}`);
    return found;
  }

  async stop(): Promise<void> {}
}

/** As many samples as the text has characters. */
function audioOf({ text }: Phrase): SpeechAudio {
  const wav = writeWav(Buffer.alloc(text.length * 2, 1), 16_000);
  return { wav, sampleRate: 16_000, durationMs: text.length / 16 };
}
