/** A phrase as it is handed to an engine. */
export interface Phrase {
  readonly text: string;
  /** One of the engine's voices; its own default when left out or not known. */
  readonly voice?: string;
  /** ISO 639-1. */
  readonly language?: string;
  /** How to say it, in words; engines that cannot be told ignore it. */
  readonly instructions?: string;
}

/** One phrase spoken: a whole WAV file, PCM16 mono. */
export interface SpeechAudio {
  readonly wav: Buffer;
  readonly sampleRate: number;
  readonly durationMs: number;
}

/** What turns phrases into speech. */
export interface TtsEngine {
  readonly name: string;
  /** Rejects with the signal's reason as soon as it aborts, and lets go of all it holds for the phrase. */
  synthesize(phrase: Phrase, signal: AbortSignal): Promise<SpeechAudio>;
  /** Ends all that it started. */
  stop(): Promise<void>;
}
