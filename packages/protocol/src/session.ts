import type { ReplyChunk, ReplyOptions } from './chunk.ts';
import type { VoiceError } from './errors.ts';
import type { TurnRequestInput } from './turn.ts';

/** What every dialect decodes its frames to. `audio` is the hot path: `pcm` is PCM16 LE, mono, 16 kHz. */
export type ClientCommand =
  | { kind: 'configure'; model: string | undefined }
  /** `silenceMs`: the worker tells when the speaker begins, and when nothing was said for so long. */
  | { kind: 'start'; utteranceId: string; silenceMs?: number; voice?: VoiceStart }
  | { kind: 'audio'; utteranceId: string | undefined; pcm: Buffer }
  | { kind: 'finalize'; utteranceId: string | undefined }
  | { kind: 'cancel'; reason: string }
  | { kind: 'ping' }
  | { kind: 'ignore' }
  | { kind: 'end' };

/** What a client asks of a voice pipeline, which names its utterances itself. */
export interface VoiceStart {
  /** In Hz; absent: the right one. */
  readonly sampleRate?: number;
  /** `voice`: transcript, reply, speech. `transcribe`: transcript alone. `chat`: a reply straight from the audio. */
  readonly mode: VoiceMode;
  /** False: the client alone ends the utterance. */
  readonly endpointing: boolean;
  /** Of mode `voice`: how the reply is spoken. */
  readonly speech?: Pick<TurnRequestInput, 'unit' | 'voice' | 'language'>;
  /** Of mode `chat`. */
  readonly reply?: Partial<ReplyOptions>;
}

export type VoiceMode = 'voice' | 'transcribe' | 'chat';

/**
 * What every dialect encodes its frames from. Partial `text` is append-only: all partials of an utterance joined are its final
 * text.
 */
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
  | { kind: 'error'; error: VoiceError; utteranceId?: string }
  | VoiceEvent;

/** What only sessions of a voice pipeline tell: they replace `partial` by `transcript`, and go on after `final`. */
export type VoiceEvent =
  /** A start was taken: audio may come. */
  | { kind: 'started'; utteranceId: string }
  /** The whole text so far, each time; it replaces the one before. */
  | { kind: 'transcript'; utteranceId: string; text: string }
  /** No more audio is taken; `provisional` or `final` comes next. */
  | { kind: 'finalizing'; utteranceId: string; reason: FinalizeReason }
  /** The best text there is at once; `final` follows. */
  | { kind: 'provisional'; utteranceId: string; text: string }
  /** A piece of the reply; with `done` the last, which is empty. */
  | { kind: 'token'; utteranceId: string; text: string; done: boolean }
  /** One spoken phrase, a whole WAV file in base64. `seq` counts the phrases of the session from 0, without gaps. */
  | { kind: 'speech'; utteranceId: string; seq: number; audio: string }
  | { kind: 'phrase-done'; utteranceId: string; seq: number }
  /** The last phrase of the reply was sent. */
  | { kind: 'speech-complete'; utteranceId: string }
  /** One chunk of a reply made straight from audio. */
  | { kind: 'chunk'; utteranceId: string; chunk: ReplyChunk }
  | { kind: 'marks'; utteranceId: string; marks: LatencyMarks }
  /** Work of the engine on the utterance: pieces of audio decoded, and the time that took. */
  | { kind: 'decode'; utteranceId: string; runs: number; ms: number }
  | { kind: 'notice'; code: NoticeCode; message: string }
  /** Only where debug events are asked for; `facts` are flat. */
  | { kind: 'debug'; event: string; facts: Readonly<Record<string, string | number>> };

/** Why an utterance came to its end. */
export type FinalizeReason =
  | 'explicit_stop'
  | 'vad_silence_timeout'
  | 'inactivity_timeout'
  | 'max_utterance_timeout';

/** What a client may want to know and need not act on. */
export type NoticeCode =
  | 'backpressure_on'
  | 'backpressure_off'
  | 'phrase_dropped'
  | 'rtf_advisory'
  | 'barge_in'
  | 'complete';

/** Unix time in ms at which each first happened; absent: it did not. */
export interface LatencyMarks {
  /** First audio received. */
  readonly t0?: number;
  /** First partial sent. */
  readonly t1?: number;
  /** Final transcript sent. */
  readonly t2?: number;
  /** First token of the reply sent. */
  readonly t3?: number;
  /** First audio of the reply sent. */
  readonly t4?: number;
}

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
