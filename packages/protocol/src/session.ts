import type { ReplyChunk, ReplyOptions } from './chunk.ts';
import type { VoiceError } from './errors.ts';
import type { LinkWord } from './link.ts';
import type { SessionReport } from './session-report.ts';
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
  | { kind: 'end' }
  | ListenCommand;

/** What only listening sessions take: their audio comes without end, and is cut into utterances here. `finalize` ends the open one. */
export type ListenCommand =
  /** How audio is cut from now on; answered by `listening`. */
  | { kind: 'listen'; options: ListenOptions }
  /** The audio of the open utterance is let go; answered by `cleared`. */
  | { kind: 'clear' }
  /** No more audio comes: what is open is transcribed, then `ended` is told and the connection closed. */
  | { kind: 'finish' }
  /** One frame that means several things, in order. None of them is `several`. */
  | { kind: 'several'; commands: readonly ClientCommand[] }
  | AgentCommand;

/** How a listening session cuts its audio into utterances, and what it makes of them. Each `listen` says all of it. */
export interface ListenOptions {
  /** Name as the client gave it; absent: whatever is served. */
  readonly model?: string;
  /** ISO 639-1, of the speaker. */
  readonly language?: string;
  /** An utterance ends when its speaker has been silent for `silenceMs`. Absent: the client alone ends utterances. */
  readonly endpointing?: { readonly silenceMs: number };
  /** An utterance as long as this is ended, and the next goes on where it was cut. Absent: as long as the server's limit. */
  readonly maxUtteranceMs?: number;
  /** `quiet` is told when so long nothing was said after an utterance. Absent: never. */
  readonly quietMs?: number;
  /** Delay of the transcript behind the audio that the client would like, if a worker serves it. */
  readonly delayMs?: number;
  /** Utterances are answered. Absent: they are transcribed alone. */
  readonly agent?: AgentOptions;
}

/** Of sessions whose utterances are answered. */
export interface AgentOptions {
  readonly instructions?: string;
  readonly voice?: string;
  /** False: tokens alone. */
  readonly speak: boolean;
  /** An utterance is answered when it has ended; else only on `respond`. */
  readonly autoRespond: boolean;
  /** A speaker who is heard during a reply ends it. */
  readonly bargeIn: boolean;
}

/** What only sessions take whose utterances are answered. */
export type AgentCommand =
  /** Answers what was said last. `options` hold for this reply. */
  | { kind: 'respond'; options?: Partial<Pick<AgentOptions, 'instructions' | 'speak' | 'voice'>> }
  | { kind: 'stop-reply' }
  /** Only so much of a spoken item was heard: the rest is forgotten. Answered by `item-truncated`. */
  | { kind: 'truncate-item'; itemId: string; audioMs: number }
  /** Behind the item with `previousId`, before all (`root`), or behind all. Answered by `item-added`. */
  | { kind: 'add-item'; item: ConversationItem; previousId: string | undefined }
  | { kind: 'delete-item'; itemId: string }
  /** Answered by `item`. */
  | { kind: 'retrieve-item'; itemId: string };

/** One thing said in a conversation, or written. The id of what a speaker said is that of the utterance. */
export interface ConversationItem {
  readonly id: string;
  readonly role: 'user' | 'assistant' | 'system';
  readonly text: string;
  /** It was spoken, not written. */
  readonly spoken: boolean;
  /** False: it was cut off. */
  readonly complete: boolean;
}

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
  /** The last, where it was asked for. */
  | { kind: 'report'; report: SessionReport }
  | { kind: 'error'; error: VoiceError; utteranceId?: string }
  | VoiceEvent
  | ListenEvent
  | AgentEvent;

/**
 * What only listening sessions tell, instead of `partial`, `final` and errors of an utterance. Samples are on the session
 * clock: sample 0 is the first audio sample of the session. Of one utterance come, in this order: `speech-began` (with
 * endpointing alone, and not before a speaker is heard), `heard` any number of times, `speech-ended` (with endpointing alone),
 * `committed`, more `heard`, and one of `transcribed` and `failed`.
 */
export type ListenEvent =
  /** Answers `listen`: what is in force now. */
  | { kind: 'listening'; session: SessionInfo; options: ListenOptions }
  | { kind: 'speech-began'; utteranceId: string; sample: number }
  /** Nothing was said since `sample`. */
  | { kind: 'speech-ended'; utteranceId: string; sample: number }
  /**
   * No more audio belongs to it. It is made of the samples from `fromSample` up to `toSample`. One that waits for those
   * before it is told of at once, so their words may come after this.
   */
  | {
      kind: 'committed';
      utteranceId: string;
      fromSample: number;
      toSample: number;
      cause: CommitCause;
    }
  /** `words` are settled since the last `heard`, maybe none; `tail` is the engine's present guess at what follows. */
  | { kind: 'heard'; utteranceId: string; words: readonly LinkWord[]; tail: string }
  /** `words` are all of the utterance; `text` is theirs, without white space around it. */
  | {
      kind: 'transcribed';
      utteranceId: string;
      text: string;
      words: readonly LinkWord[];
      usage: Usage;
    }
  /** It comes to nothing; the session goes on. */
  | { kind: 'failed'; utteranceId: string; error: VoiceError }
  /** `utteranceId`: whose audio was let go, if there was any. */
  | { kind: 'cleared'; utteranceId: string | undefined }
  /** Nothing was said for `quietMs` since `sample`, where the last word ended. Once after each utterance with words. */
  | { kind: 'quiet'; sample: number };

/** Why an utterance of a listening session has ended: its speaker's silence, its length, or its client. */
export type CommitCause = 'endpoint' | 'length' | 'client' | 'finish';

/**
 * What only sessions tell whose utterances are answered. Of one reply come, in this order: `reply-began`; `token` and
 * `speech` with the reply's id as their `utteranceId`; `reply-ended`.
 */
export type AgentEvent =
  /** `afterId`: the item that it answers. `speak`: it is spoken, too. */
  | {
      kind: 'reply-began';
      replyId: string;
      itemId: string;
      afterId: string | undefined;
      speak: boolean;
    }
  /** `text`: all of the reply, as far as it came. */
  | {
      kind: 'reply-ended';
      replyId: string;
      itemId: string;
      text: string;
      outcome: ReplyOutcome;
      error?: VoiceError;
    }
  | { kind: 'item-added'; item: ConversationItem; previousId: string | undefined }
  | { kind: 'item-truncated'; itemId: string; audioMs: number }
  | { kind: 'item-deleted'; itemId: string }
  | { kind: 'item'; item: ConversationItem };

/** `cancelled`: by the client; `interrupted`: by a speaker. */
export type ReplyOutcome = 'completed' | 'cancelled' | 'interrupted' | 'failed';

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
  | { kind: 'speech'; utteranceId: string; seq: number; audio: string; durationMs: number }
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
