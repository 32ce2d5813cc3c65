import type { Clock } from '@voice-fleet/runtime/clock';
import { systemClock } from '@voice-fleet/runtime/clock';
import { delayFramesOf } from './arithmetic.ts';
import type { EngineLimits } from './engine.ts';
import { codedHearing, type Hearing } from './hearing.ts';

export interface FakeVllmOptions {
  /** Default 127.0.0.1. */
  readonly host?: string;
  /** Default: a free one. */
  readonly port?: number;
  /** Served model names, the first being the one that metrics tell. */
  readonly models?: readonly string[];
  /** What `/version` says. */
  readonly version?: string;
  /** Any of them opens `/v1`; none: no key is asked for. */
  readonly apiKeys?: readonly string[];
  /** How a wrong key is answered: 401, or 500 as of old uvicorn. */
  readonly denialStatus?: 401 | 500;
  /** VLLM_SKIP_MODEL_NAME_VALIDATION: every model name is right. */
  readonly skipModelNameValidation?: boolean;
  /** A positive multiple of 80; default 480. */
  readonly delayMs?: number;
  /** A step of n utterances lasts baseMs + perSequenceMs × n; default 0, which is as fast as possible. */
  readonly baseMs?: number;
  readonly perSequenceMs?: number;
  readonly maxNumSeqs?: number;
  /** The engine dies when an utterance grows to so many tokens. */
  readonly maxModelLen?: number;
  readonly kvPoolMib?: number;
  /** After a crash the engine comes back after this time; absent: never. */
  readonly restartAfterMs?: number;
  /** VLLM_ENGINE_ITERATION_TIMEOUT_S; `false` is a build that does not stall after it. */
  readonly iterationTimeoutMs?: number | false;
  /** VLLM_MAX_AUDIO_CLIP_FILESIZE_MB, which vLLM compares with samples of one append. */
  readonly maxClipMib?: number;
  /** uvicorn's keepalive: pings so often, and waits so long for an answer. */
  readonly pingIntervalMs?: number;
  readonly pingTimeoutMs?: number;
  /** Audio that one session may have waiting. vLLM itself has no limit but its memory. */
  readonly maxBacklogBytes?: number;
  /** Made anew for each utterance; default: hears coded speech. */
  readonly hear?: () => Hearing;
  /** Told of each utterance that begins, with the `traceparent` it came with; what it returns is told of its end. */
  readonly onUtterance?: UtteranceWatch;
  readonly clock?: Clock;
}

export type UtteranceEnd = 'done' | 'failed' | 'aborted';
export type UtteranceWatch = (traceparent: string | undefined) => (end: UtteranceEnd) => void;

/** The options with every default filled in. */
export interface FakeVllmSettings {
  readonly host: string;
  readonly port: number;
  readonly models: readonly string[];
  readonly version: string;
  readonly apiKeys: readonly string[];
  readonly denialStatus: 401 | 500;
  readonly skipModelNameValidation: boolean;
  readonly delayFrames: number;
  readonly limits: EngineLimits;
  readonly restartAfterMs: number | undefined;
  readonly iterationTimeoutMs: number | undefined;
  readonly maxClipSamples: number;
  readonly pingIntervalMs: number;
  readonly pingTimeoutMs: number;
  readonly maxBacklogBytes: number;
  readonly hear: () => Hearing;
  readonly onUtterance: UtteranceWatch;
  readonly clock: Clock;
}

export const DEFAULT_MODEL = 'mistralai/Voxtral-Mini-4B-Realtime-2602';
const MIB = 2 ** 20;
/** An H100 with 80 GB, by the arithmetic of weights and activations. */
const H100_KV_POOL_MIB = 61_850;
/** An hour of audio, far more than a client could want. */
const MAX_BACKLOG_BYTES = 3_600 * 32_000;

/** Defaults are those of vLLM where it has such. Throws a RangeError for a delay that the model does not have. */
export function settingsOf(options: FakeVllmOptions): FakeVllmSettings {
  const { iterationTimeoutMs = 60_000 } = options;
  return {
    host: options.host ?? '127.0.0.1',
    port: options.port ?? 0,
    models: options.models ?? [DEFAULT_MODEL],
    version: options.version ?? '0.20.2',
    apiKeys: options.apiKeys ?? [],
    denialStatus: options.denialStatus ?? 401,
    skipModelNameValidation: options.skipModelNameValidation ?? false,
    delayFrames: delayFramesOf(options.delayMs ?? 480),
    limits: {
      baseMs: options.baseMs ?? 0,
      perSequenceMs: options.perSequenceMs ?? 0,
      maxNumSeqs: options.maxNumSeqs ?? 1024,
      maxModelLen: options.maxModelLen ?? 131_072,
      kvPoolMib: options.kvPoolMib ?? H100_KV_POOL_MIB,
    },
    restartAfterMs: options.restartAfterMs,
    iterationTimeoutMs: iterationTimeoutMs === false ? undefined : iterationTimeoutMs,
    maxClipSamples: (options.maxClipMib ?? 25) * MIB,
    pingIntervalMs: options.pingIntervalMs ?? 20_000,
    pingTimeoutMs: options.pingTimeoutMs ?? 20_000,
    maxBacklogBytes: options.maxBacklogBytes ?? MAX_BACKLOG_BYTES,
    hear: options.hear ?? (() => codedHearing()),
    onUtterance: options.onUtterance ?? (() => () => undefined),
    clock: options.clock ?? systemClock,
  };
}
