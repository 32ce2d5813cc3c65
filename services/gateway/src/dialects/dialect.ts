import type { IncomingHttpHeaders } from 'node:http';
import type { ErrorCode, VoiceError } from '@voice-fleet/protocol/errors';
import type { ClientCommand, CloseReason, SessionEvent } from '@voice-fleet/protocol/session';
import type { ClientWishes } from './client-wishes.ts';

/** What a client says of itself before its first frame. */
export interface Handshake {
  /** Empty when the client sent none. */
  readonly apiKey: string;
  /** The session is to survive its connection. */
  readonly resumable: boolean;
  /** Acks are wanted, even if the session is not resumable. */
  readonly acks: boolean;
  /** A session to go on with, and the last numbered frame of it that the client has got. */
  readonly resume?: { readonly token: string; readonly lastSeq: number };
  /** How long the client is willing to wait in line, seeing its place; 0: not at all. */
  readonly waitMs: number;
  /** Name of the model that the client asks for, if it names one before its first frame. */
  readonly model?: string;
  /** Such a client is closed so soon after its last frame, outside of an utterance. Absent: as all others. */
  readonly idleTimeoutMs?: number;
}

/**
 * `voice`: utterances are answered. `lean`: one utterance is told in two stages. `listen`: audio without end is cut into
 * utterances, which may be answered.
 */
export type PipelineKind = 'voice' | 'lean' | 'listen';

/** A wire protocol of clients: its paths, how it carries a key, and its codec. Data and pure functions only. */
export interface Dialect {
  readonly name: string;
  readonly paths: readonly string[];
  /**
   * Where its clients are told that they are not let in. `socket`: by an error on the open socket, which may also wait in
   * line. `upgrade`: by an HTTP status instead of 101, as after that they take every error for the end; of the wait that may
   * still follow they hear nothing.
   */
  readonly admission: 'socket' | 'upgrade';
  /** What stands between its clients and their sessions, if anything does. */
  readonly pipeline?: PipelineKind;
  /** Nobody is let in; each client is told this. */
  readonly refuses?: ErrorCode;
  /** Its codec bounds its frames itself. */
  readonly boundsFrames?: boolean;
  /** Of the subprotocols that a client offers the first of these is chosen. None of them holds a key. */
  readonly subprotocols?: readonly string[];
  /** Throws VoiceError for a request that the protocol does not allow: it is refused with that error's status. */
  handshake(query: URLSearchParams, headers: IncomingHttpHeaders): Handshake;
  /** Body and further headers of a refused upgrade. Absent: the body of all HTTP errors. */
  refusal?(error: VoiceError, requestId: string): DialectRefusal;
  /** One for each connection, with the request it began with; it may remember ids between frames. */
  codec(query: URLSearchParams, headers: IncomingHttpHeaders): DialectCodec;
}

export interface DialectRefusal {
  readonly body: unknown;
  readonly headers?: Readonly<Record<string, string>>;
}

export interface DialectCodec {
  /** Before the greeting, of a client whose token is bound to a session: the JSON of that, as the token's maker had it checked. */
  bind?(session: string): void;
  /** What the client has asked for with its request, done as soon as it was greeted. */
  readonly opening?: ClientCommand;
  /** Only of dialects whose clients may say so in a frame. */
  readonly wishes?: ClientWishes;
  /** Throws VoiceError for a frame that the protocol does not allow. */
  decode(data: Buffer, isBinary: boolean): ClientCommand;
  /** A frame is refused unread: the error that follows is not of the frame decoded last. */
  unread?(): void;
  /** Text frames in order; none when the dialect has no such event. */
  encode(event: SessionEvent): readonly string[];
  /** The frame with its number in the session; only of dialects whose sessions can be resumed. */
  numbered?(frame: string, seq: number): string;
  /** What the codec must know to go on with a session, and the codec of another connection that goes on with it. */
  memory?(): unknown;
  recall?(memory: unknown): void;
  close(reason: CloseReason): { readonly code: number; readonly reason: string };
}
