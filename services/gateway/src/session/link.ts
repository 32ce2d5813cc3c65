import type { LinkEvent } from '@voice-fleet/protocol/link';

/** What a worker says of an utterance. */
export type UtteranceEvent = Extract<LinkEvent, { utterance: number }>;

/** A session's way to the worker that holds its slot. Utterances are numbered from 1 within the session. */
export interface Link {
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
  /** More frames than allowed wait at a worker that has taken none for a while. */
  onStalled(): void;
  /** The socket to the worker is clogged (true) or flows again (false). */
  onCongestion(clogged: boolean): void;
  /** The link is gone, its slot given back. Called at most once, never after `close`. */
  onLost(cause: string): void;
}

/** Takes a slot and opens a link to its worker. Rejects with VoiceError `at_capacity` or `fleet_unavailable`. */
export type ConnectLink = (
  sessionId: string,
  listener: LinkListener,
  signal: AbortSignal,
) => Promise<Link>;
