import type { Word } from '@voice-fleet/speech/words';
import type { FrameTick } from '../capacity/engine-load.ts';

/**
 * What an engine makes of one segment of audio. Sample numbers count from the first sample written. Settled words are
 * never taken back; `tail` may change at will.
 */
export type EngineEvent =
  | { readonly kind: 'words'; readonly words: readonly Word[]; readonly tail: string }
  /** Every word that ends before this sample has been emitted. Only of engines whose capabilities say so. */
  | { readonly kind: 'heard'; readonly untilSample: number }
  | { readonly kind: 'end'; readonly promptTokens: number; readonly completionTokens: number };

/** Why a stream failed: a metric label, so these are all there are. */
export const FAULT_CAUSES = [
  /** The engine could not be reached, or a process not started. */
  'unreachable',
  /** No sign of life after the first audio. */
  'first_delta',
  /** Audio was owed an answer for too long. */
  'cadence',
  /** The last words did not come. */
  'done',
  /** Nothing was recognised in what sounds like speech. */
  'blank_rut',
  /** Far slower than real time, for long. */
  'slow',
  /** The engine closed the connection, or its process died. */
  'closed',
  /** The engine said that something went wrong. */
  'refused',
  /** It did not take audio, or did not settle, within the caller's patience. */
  'unresponsive',
  'other',
] as const;
export type FaultCause = (typeof FAULT_CAUSES)[number];

/** A stream that can go no further. A new one may succeed, unless `retryable` says no. */
export class StreamFault extends Error {
  override readonly name = 'StreamFault';
  readonly fault: FaultCause;
  /** The words up to here can be trusted, counted from the first sample written; absent: all emitted words. */
  readonly trustedSample: number | undefined;
  readonly retryable: boolean;

  constructor(
    fault: FaultCause,
    message: string,
    options: { trustedSample?: number; retryable?: boolean; cause?: unknown } = {},
  ) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause });
    this.fault = fault;
    this.trustedSample = options.trustedSample;
    this.retryable = options.retryable ?? true;
  }
}

/** One segment being decoded. */
export interface EngineStream {
  /**
   * Hands over PCM16 LE mono 16 kHz. Settles when the engine has taken it: an engine that falls behind settles late,
   * and its caller queues. One call at a time. Rejects when the stream failed.
   */
  write(pcm: Buffer): Promise<void>;
  /** No more audio: the engine settles every word and emits `end`. */
  finish(): void;
  /** Events in order, up to and including `end`; throws when the stream failed, a StreamFault where it knows why. Read by one consumer. */
  readonly events: AsyncIterable<EngineEvent>;
  /** Stops at once and gives everything back. Safe at any time and twice; `events` then ends without `end`. */
  abort(): void;
}

/** Life of an engine. Only a ready one is given sessions. */
export const ENGINE_STATES = [
  'uninitialized',
  'loading',
  'warming_up',
  'ready',
  'error',
  'unloading',
] as const;
export type EngineState = (typeof ENGINE_STATES)[number];

export interface EngineHealth {
  readonly state: EngineState;
  /** Why it is not ready, for operators. */
  readonly reason?: string;
}

/** What an engine has worked so far, for health and metrics. */
export interface EngineWork {
  /** Pieces of audio it has answered. */
  readonly chunksProcessed: number;
  readonly avgInferMs: number;
  /** Processing time in all; undefined where only the time to an answer is known, as of an engine that works on much at once. */
  readonly inferMs?: number;
  /** Processing time for each unit of audio: 1 is as much as it can do. */
  readonly realtimeFactor: number;
  /** Streams that failed since one last came to its end. */
  readonly consecutiveErrors: number;
  readonly lastError: string | undefined;
}

/** What an engine that serves many sessions at once has seen since it was last asked. */
export interface EngineLoad {
  /** Frames of 80 ms; undefined when there were none. */
  readonly frames: FrameTick | undefined;
  /** Streams whose oldest unanswered frame is older than BEHIND_MS. */
  readonly behind: number;
  /** 0..1, of the model's cache; undefined when it could not be read, as the following. */
  readonly kvUsage: number | undefined;
  readonly waitingForCapacity: number | undefined;
  /** New ones. */
  readonly preemptions: number | undefined;
}

/** What is known of an engine without starting it. */
export interface EngineCapabilities {
  /** Words come while audio does. */
  readonly streaming: boolean;
  readonly gpu: boolean;
  /** ISO 639-1 codes. */
  readonly languages: readonly string[];
  /** Memory beside the worker's own that one instance takes, on whatever device it runs. */
  readonly minMemoryMiB: number;
  /** The most audio one stream may hold; absent where there is no limit. */
  readonly maxSegmentSamples?: number;
  /** The engine keeps endless streams going by itself; a new stream costs much. */
  readonly endless?: boolean;
  /** Its streams tell up to where they have heard; of others it is guessed from what they took. */
  readonly tellsHeard?: boolean;
  /** A usual error of its word times; absent: 150 ms, as of an engine that aligns. */
  readonly timeErrorSamples?: number;
}

/** What a stream belongs to, for logs and traces. */
export interface StreamOrigin {
  readonly sessionId: string;
  readonly utterance: number;
  /** 0, or how many streams failed in a row just before this one. */
  readonly attempt: number;
  /** Of the span that it is part of, for whoever works for the engine. */
  readonly traceparent?: string | undefined;
}

/** What turns audio into words. */
export interface AsrEngine {
  readonly name: string;
  /** Name under which clients may ask for it. */
  readonly model: string;
  readonly capabilities: EngineCapabilities;
  /** Sessions it can serve in real time on this machine, as known now. */
  readonly slots: number;
  /** Of its words behind the audio, as set at its model; absent: it has none of its own. */
  readonly delayMs?: number | undefined;
  /** Settles when the first stream can be opened; rejects with one clear sentence when it never will. */
  start(): Promise<void>;
  health(): EngineHealth;
  work?(): EngineWork | undefined;
  /** For one caller: what it returns is not told again. Nothing where `slots` is all there is to know. */
  measure?(): Promise<EngineLoad | undefined>;
  /** `voice` carries what the engine learns of one speaker's channel from utterance to utterance; one object for each session. */
  open(voice: VoiceState, origin: StreamOrigin): EngineStream;
  stop(): Promise<void>;
}

/** Opaque to all but the engine that wrote it. */
export interface VoiceState {
  value?: unknown;
}
