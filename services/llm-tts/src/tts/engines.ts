import type { Clock } from '@voice-fleet/runtime/clock';
import { ConfigError } from '@voice-fleet/runtime/env';
import type { Phrase, SpeechAudio, TtsEngine } from './engine.ts';
import { EspeakNg } from './espeak-ng.ts';
import { FliteEngine } from './flite.ts';
import { OpenAiSpeech } from './openai-speech.ts';
import type { TtsSettings } from './tts-env.ts';

/** The engine that the settings name, started; undefined when nobody speaks. Throws ConfigError for one that is not installed. */
export async function startTtsEngine(
  settings: TtsSettings,
  deps: { readonly clock: Clock },
): Promise<TtsEngine | undefined> {
  const { workers } = settings.speaker;
  switch (settings.engine) {
    case 'none':
      return undefined;
    case 'openai':
      return new OpenAiSpeech(settings.server);
    case 'espeak-ng': {
      const espeak = await EspeakNg.find(workers);
      if (espeak) return espeak;
      const message = 'is espeak-ng, which is not installed';
      throw new ConfigError([{ variable: 'STREAM_TTS_ENGINE', message }]);
    }
    case 'flite': {
      const options = { clock: deps.clock, voice: settings.fliteVoice, threads: workers };
      const [flite, espeak] = await Promise.all([
        FliteEngine.start(options),
        EspeakNg.find(workers),
      ]);
      return espeak ? new ByLanguage(flite, espeak) : flite;
    }
  }
}

/** What the engine that is called `name` goes by, where speech is asked for. */
export function speechModels(name: string, { engine, server }: TtsSettings): readonly string[] {
  return engine === 'openai' ? [server.model] : [name];
}

/** flite where it can; espeak-ng for other languages, and for letters that flite does not know. */
class ByLanguage implements TtsEngine {
  readonly name: string;
  readonly #flite: FliteEngine;
  readonly #espeak: EspeakNg;

  constructor(flite: FliteEngine, espeak: EspeakNg) {
    this.name = flite.name;
    this.#flite = flite;
    this.#espeak = espeak;
  }

  synthesize(phrase: Phrase, signal: AbortSignal): Promise<SpeechAudio> {
    const language = phrase.language?.toLowerCase() ?? 'en';
    const isForeign = !language.startsWith('en') && this.#espeak.speaks(language);
    const engine =
      isForeign || !FliteEngine.knowsLettersOf(phrase.text) ? this.#espeak : this.#flite;
    return engine.synthesize(phrase, signal);
  }

  async stop(): Promise<void> {
    await Promise.all([this.#flite.stop(), this.#espeak.stop()]);
  }
}
