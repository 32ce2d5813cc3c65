import type { LinkEndpoint, LinkEvent, LinkResume } from '@voice-fleet/protocol/link';

/** What a worker says of an utterance. */
export type UtteranceEvent = Extract<LinkEvent, { utterance: number }>;

/** How an utterance is begun on a link. */
export interface LinkStart {
  /** Another worker has begun it, and `fromSample` is where the audio that now comes begins. */
  readonly resume?: LinkResume;
  /** Its beginning and its end are to be told. */
  readonly endpoint?: LinkEndpoint;
  /** Of its trace. */
  readonly traceparent?: string;
}

/** A session's way to the worker that serves it. Utterances are numbered from 1 within the session. */
export interface Link {
  readonly workerId: string;
  /** Name of the model served at the other end. */
  readonly model: string;
  start(utterance: number, fromSample: number, how?: LinkStart): void;
  /** PCM16 of the utterance last started. The buffer is handed over: the caller must not change it again. */
  audio(pcm: Buffer): void;
  finish(utterance: number): void;
  cancel(utterance: number): void;
  /** Closes the socket; settles when it is closed. Nothing is reported after the call. */
  close(): Promise<void>;
}

export interface LinkListener {
  onUtterance(event: UtteranceEvent): void;
  /** All words of the utterance that end before this sample have been reported. */
  onSettled(sample: number): void;
  /** The engine has taken all audio before this sample. `workMs`: the time that the utterance took it so far, where known. */
  onTaken(sample: number, workMs: number | undefined): void;
  /** The worker is there but its engine takes nothing, and no more frames may wait. */
  onStalled(): void;
  /** The worker is behind: the client should not be read (true), or may be again (false). */
  onCongestion(clogged: boolean): void;
  /** The session should go elsewhere; the link works on. */
  onDraining(cause: 'stopping' | 'engine'): void;
  /** The link is gone. Called at most once, never after `close`. */
  onLost(cause: string): void;
}

export interface LinkRequest {
  readonly listener: LinkListener;
  readonly signal: AbortSignal;
  /** A worker to pass over for a moment: it was just lost, but may be the only one, and back. */
  readonly avoid?: string;
  /** The worker that is to be left, and still works: it is no choice. */
  readonly leave?: string;
  /** Only a worker as it was wished will do. */
  readonly onlyWished?: boolean;
  /** How long to wait in line when all slots are taken; 0: not at all. */
  readonly waitMs: number;
  /** The place in line, whenever it changes. */
  readonly onPosition?: (position: number, estimateMs: number | undefined) => void;
}

/** A session's place in the fleet: the slot that it holds, on whatever worker, from its admission to its end. */
export interface Route {
  /**
   * Takes a slot, or moves the one held, and opens a link to its worker. Rejects with VoiceError `at_capacity` when there is
   * none, `fleet_unavailable` when there is no worker to be had or asked for, or a limit of the tenant.
   */
  connect(request: LinkRequest): Promise<Link>;
  /** The session was told that it has this model: from now on `connect` looks among the workers that serve it. */
  keepTo?(model: string): void;
  /** The worker that the slot held is of. */
  readonly workerId?: string | undefined;
  /**
   * From now on `connect` first looks among the workers whose delay is nearest to this one, then among the next. Settles with
   * true when there are nearer ones than the present worker.
   */
  wish?(delayMs: number): Promise<boolean>;
  /** Of the present worker, where it is known. */
  readonly delayMs?: number | undefined;
  /** Gives the slot back. Does not reject. */
  release(): Promise<void>;
}
