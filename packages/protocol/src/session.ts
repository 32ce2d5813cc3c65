import type { VoiceError } from './errors.ts';

/** What every dialect decodes its frames to. `audio` is the hot path: `pcm` is PCM16 LE, mono, 16 kHz. */
export type ClientCommand =
  | { kind: 'configure'; model: string | undefined }
  | { kind: 'start'; utteranceId: string }
  | { kind: 'audio'; utteranceId: string | undefined; pcm: Buffer }
  | { kind: 'finalize'; utteranceId: string | undefined }
  | { kind: 'cancel'; reason: string }
  | { kind: 'ping' }
  | { kind: 'ignore' }
  | { kind: 'end' };

/** What every dialect encodes its frames from. Partial `text` is append-only: all partials of an utterance joined are its final text. */
export type SessionEvent =
  /** Before `created`: all slots are taken, and the session waits in line. */
  | { kind: 'queued'; position: number; estimateMs: number | undefined }
  | { kind: 'created'; session: SessionInfo; resume?: ResumeOffer }
  /** Instead of `created`, on the connection that goes on with a session. */
  | {
      kind: 'resumed';
      session: SessionInfo;
      resume: ResumeOffer;
      from: ResumedUtterance | undefined;
    }
  | { kind: 'configured'; session: SessionInfo }
  | { kind: 'partial'; utteranceId: string; text: string; tail: string }
  | { kind: 'final'; utteranceId: string; text: string; usage: Usage }
  | {
      kind: 'dropped';
      utteranceId: string;
      samples: number;
      maxBacklogSamples: number;
      source: DropSource;
    }
  /** `acceptedSample`: audio of the session recorded and billed so far; `keep`: what a resume may ask for again. */
  | { kind: 'ack'; acceptedSample: number; keep: ResumedUtterance | undefined }
  | { kind: 'warning'; limit: LimitName; used: number; max: number }
  /** This server goes away; the connection is closed within `graceMs`. */
  | { kind: 'shutdown'; graceMs: number }
  | { kind: 'cancelled'; reason: string }
  | { kind: 'pong' }
  | { kind: 'ended' }
  | { kind: 'error'; error: VoiceError; utteranceId?: string };

/** How a client that lost its connection takes its session up again, on any gateway. */
export interface ResumeOffer {
  /** Good for one resume, which brings the next one. */
  readonly token: string;
  /** Time after the loss of the connection within which it must be used. */
  readonly ttlMs: number;
}

/** The utterance that is open, and the first of its samples, counted from its own start, that may be asked for again. */
export interface ResumedUtterance {
  readonly utteranceId: string;
  readonly fromSample: number;
}

/** Limits of a tenant of which a session is warned at 80 % and at 95 %. Values are sessions or seconds. */
export type LimitName = 'concurrent_sessions' | 'audio_seconds_per_day' | 'session_seconds';

/** Where audio was dropped: the worker's queue in front of its engine, or what the gateway keeps for another worker. */
export type DropSource = 'pending_buffer' | 'replay_buffer';

/** Engine work done for one utterance, summed over its segments. A token stands for 80 ms of audio (prompt) or one emitted unit (completion). */
export interface Usage {
  readonly promptTokens: number;
  readonly completionTokens: number;
}

/** The facts of a session that a client may see. */
export interface SessionInfo {
  /** `sess_` and 32 hex digits. */
  readonly id: string;
  /** Name of the served model. */
  readonly model: string;
  /** Unix time in seconds at which the session was admitted. */
  readonly createdAtS: number;
}

/** Why the server closes a connection. Dialects map it to a close code. */
export type CloseReason =
  | { kind: 'ended' }
  /** The client closed the connection, or the network did. */
  | { kind: 'gone' }
  | { kind: 'idle' }
  | { kind: 'max-duration' }
  | { kind: 'shutdown' }
  /** The session goes on over another connection. */
  | { kind: 'resumed-elsewhere' }
  | { kind: 'slow-reader' }
  | { kind: 'unresponsive' }
  | { kind: 'error'; error: VoiceError };
