import type { Word } from '@voice-fleet/speech/words';

/**
 * What an engine makes of one segment of audio. Sample numbers of words count from the first sample written. Settled words are never taken back;
 * `tail` may change at will.
 */
export type EngineEvent =
  | { readonly kind: 'words'; readonly words: readonly Word[]; readonly tail: string }
  | { readonly kind: 'end'; readonly promptTokens: number; readonly completionTokens: number };

/** One segment being decoded. */
export interface EngineStream {
  /**
   * Hands over PCM16 LE mono 16 kHz. Settles when the engine has taken it: an engine that falls behind settles late,
   * and its caller queues. One call at a time. Rejects when the engine failed for good.
   */
  write(pcm: Buffer): Promise<void>;
  /** No more audio: the engine settles every word and emits `end`. */
  finish(): void;
  /** Events in order, up to and including `end`; throws when the engine failed. Read by one consumer. */
  readonly events: AsyncIterable<EngineEvent>;
  /** Stops at once and gives everything back. Safe at any time and twice; `events` then ends without `end`. */
  abort(): void;
}

export interface EngineHealth {
  readonly ready: boolean;
  /** Why it is not ready, for operators. */
  readonly reason?: string;
}

/** What turns audio into words. A worker runs one. */
export interface AsrEngine {
  readonly name: string;
  /** Name under which clients may ask for it. */
  readonly model: string;
  /** Sessions it can serve in real time on this machine. */
  readonly slots: number;
  /** The most audio one stream may hold, in samples; absent where there is no limit. */
  readonly maxSegmentSamples?: number;
  /** Settles when the first stream can be opened; rejects with one clear sentence when it never will. */
  start(): Promise<void>;
  health(): EngineHealth;
  /** `voice` carries what the engine learns of one speaker's channel from utterance to utterance; one object for each session. */
  open(voice: VoiceState): EngineStream;
  stop(): Promise<void>;
}

/** Opaque to all but the engine that wrote it. */
export interface VoiceState {
  value?: unknown;
}
