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
  | { kind: 'created'; session: SessionInfo }
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
  | { kind: 'cancelled'; reason: string }
  | { kind: 'pong' }
  | { kind: 'ended' }
  | { kind: 'error'; error: VoiceError; utteranceId?: string };

/** Where overrun audio was dropped. `pending_buffer` is the worker's queue in front of its engine. */
export type DropSource = 'pending_buffer';

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
  | { kind: 'idle' }
  | { kind: 'max-duration' }
  | { kind: 'shutdown' }
  | { kind: 'slow-reader' }
  | { kind: 'unresponsive' }
  | { kind: 'error'; error: VoiceError };
