/** Redis' part of a session that can be resumed; see SessionStore. */
export interface SessionSave {
  readonly sessionId: string;
  /** Which connection writes: from 1, one more with each resume. Only the last one may. */
  readonly owner: number;
  /** Number of the last frame in `frames`, or of the last one before when there is none. */
  readonly seq: number;
  /** Encoded and numbered frames since the last save, in order. */
  readonly frames: readonly string[];
  /** All that a session needs to go on, as JSON, apart from `text`. Small: it is written anew with each save. */
  readonly state: string;
  /** Text of the open utterance behind its first `atChar` characters, which were saved before; `atChar` 0 starts it anew. */
  readonly text: { readonly atChar: number; readonly append: string };
  /** Audio of the session accepted so far, which is charged as it is saved. */
  readonly acceptedSamples: number;
  /** The client is known to have got its token: the one before is of no use any more. */
  readonly confirmed: boolean;
}

/** `fenced`: another connection has resumed the session. `text_missing`: save again with the whole text, as Redis has lost it. */
export type SaveResult = 'saved' | 'fenced' | 'text_missing';

/** What a resume finds. */
export interface ResumedSession {
  readonly sessionId: string;
  readonly owner: number;
  readonly keyId: string;
  /** Token of the next resume. */
  readonly token: string;
  readonly seq: number;
  /** Numbered frames after the client's last one. */
  readonly frames: readonly string[];
  readonly state: string;
  readonly text: string;
  readonly acceptedSamples: number;
  /** The lease that the session's last connection held, if one did. */
  readonly leaseToken: string | undefined;
}

/** Audio to be booked. Booking the same again changes nothing: `acceptedSamples` counts from the start of the session. */
export interface Charge {
  readonly sessionId: string;
  readonly tenantId: string;
  readonly keyId: string;
  readonly acceptedSamples: number;
}

/** Audio of a tenant in one UTC day. */
export interface UsageRow {
  /** YYYY-MM-DD. */
  readonly day: string;
  readonly keyId: string;
  readonly samples: number;
  readonly sessions: number;
}
