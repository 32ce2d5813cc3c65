import type { IncomingHttpHeaders } from 'node:http';
import type { ClientCommand, CloseReason, SessionEvent } from '@voice-fleet/protocol/session';

/** What a client says of itself before its first frame. */
export interface Handshake {
  /** Empty when the client sent none. */
  readonly apiKey: string;
}

/** A wire protocol of clients: its paths, how it carries a key, and its codec. Data and pure functions only. */
export interface Dialect {
  readonly name: string;
  readonly paths: readonly string[];
  handshake(query: URLSearchParams, headers: IncomingHttpHeaders): Handshake;
  /** One for each connection; it may remember ids between frames. */
  codec(): DialectCodec;
}

export interface DialectCodec {
  /** Throws VoiceError for a frame that the protocol does not allow. */
  decode(data: Buffer, isBinary: boolean): ClientCommand;
  /** Text frames in order; none when the dialect has no such event. */
  encode(event: SessionEvent): readonly string[];
  close(reason: CloseReason): { readonly code: number; readonly reason: string };
}
