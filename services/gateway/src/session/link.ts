import type { LinkEvent } from '@voice-fleet/protocol/link';

/** What a worker says of an utterance. */
export type UtteranceEvent = Extract<LinkEvent, { utterance: number }>;

/** A session's way to the worker that holds its slot. Utterances are numbered from 1 within the session. */
export interface Link {
  readonly workerId: string;
  /** Name of the model served at the other end. */
  readonly model: string;
  start(utterance: number, fromSample: number): void;
  /** PCM16 of the utterance last started. The buffer is handed over: the caller must not touch it again. */
  audio(pcm: Buffer): void;
  finish(utterance: number): void;
  cancel(utterance: number): void;
  /** Closes the socket and gives the slot back; settles when both are done. Nothing is reported after the call. */
  close(): Promise<void>;
}

export interface LinkListener {
  onUtterance(event: UtteranceEvent): void;
  /** The worker is there but its engine takes nothing, and no more frames may wait. */
  onStalled(): void;
  /** The worker is behind: the client should not be read (true), or may be again (false). */
  onCongestion(clogged: boolean): void;
  /** The link is gone, its slot given back. Called at most once, never after `close`. */
  onLost(cause: string): void;
}

export interface LinkRequest {
  readonly sessionId: string;
  readonly listener: LinkListener;
  readonly signal: AbortSignal;
  /** A worker to pass over. */
  readonly avoid?: string;
}

/** Takes a slot and opens a link to its worker. Rejects with VoiceError `at_capacity` or `fleet_unavailable`. */
export type ConnectLink = (request: LinkRequest) => Promise<Link>;
