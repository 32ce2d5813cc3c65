import type { VllmUsage } from '@voice-fleet/protocol/vllm-realtime';

/** As a number of deltas: in place of `transcription.done`. */
export const AT_DONE = Number.POSITIVE_INFINITY;

export type CloseCode = 1000 | 1006 | 1011 | 1012;

/** What can go wrong in one utterance; `afterDeltas` come out before it does. */
export type UtteranceFault =
  /** Tokens stop without a word, and final has no effect. */
  | { readonly kind: 'stall'; readonly afterDeltas: number }
  /** Every delta comes, but no done. */
  | { readonly kind: 'no_done' }
  | { readonly kind: 'double_done' }
  /** Deltas are empty from there on, whatever is said. */
  | { readonly kind: 'blank'; readonly afterDeltas: number }
  /** The generation fails; audio that comes from now on is kept, as vLLM keeps it. */
  | { readonly kind: 'processing_error'; readonly afterDeltas: number; readonly message?: string }
  /** 1006 is a cut connection. */
  | { readonly kind: 'close'; readonly afterDeltas: number; readonly code: CloseCode }
  /** The connection stays open, takes all bytes and says nothing more, not even pong. */
  | { readonly kind: 'half_open'; readonly afterDeltas: number }
  /** The engine dies, with all sessions. */
  | { readonly kind: 'crash'; readonly afterDeltas: number }
  /** A text frame that no vLLM sends, before the next event. */
  | { readonly kind: 'frame'; readonly afterDeltas: number; readonly text: string }
  /** An utterance without audio gets a delta all the same, as a real engine may do. */
  | { readonly kind: 'junk_delta'; readonly text: string }
  /** done tells this usage, or none. */
  | { readonly kind: 'usage'; readonly usage: VllmUsage | undefined };

/** What can go wrong with one connection, when it is made. */
export type ConnectionFault =
  /** The TCP connection is cut, or the upgrade answered with an HTTP status. */
  | { readonly kind: 'refuse'; readonly status?: number }
  | { readonly kind: 'slow_accept'; readonly delayMs: number }
  /** Right after session.created. */
  | { readonly kind: 'close_at_connect'; readonly code: CloseCode }
  /** It is accepted, and nothing ever comes, not even session.created or pong. */
  | { readonly kind: 'mute' }
  /** No model name is right. */
  | { readonly kind: 'model_not_found' };

export type Fault = UtteranceFault | ConnectionFault;

interface Armed<F> {
  readonly fault: F;
  times: number;
}

const CONNECTION_KINDS: readonly Fault['kind'][] = [
  'refuse',
  'slow_accept',
  'close_at_connect',
  'mute',
  'model_not_found',
];

/** What faults reach directly: the server's own parts. */
export interface FaultTargets {
  readonly strike: (fault: UtteranceFault) => void;
  readonly setHung: (isHung: boolean) => void;
  readonly setSlowFactor: (factor: number) => void;
}

/** Faults are armed for connections and utterances to come, or struck at those that live. */
export class Faults {
  readonly #targets: FaultTargets;
  #utterance: Armed<UtteranceFault>[] = [];
  #connection: Armed<ConnectionFault>[] = [];

  constructor(targets: FaultTargets) {
    this.#targets = targets;
  }

  /** The next `times` utterances or connections have it. Several faults may meet in one. */
  arm(fault: Fault, times: number | 'always' = 1): void {
    const count = times === 'always' ? Number.POSITIVE_INFINITY : times;
    if (isConnectionFault(fault)) this.#connection.push({ fault, times: count });
    else this.#utterance.push({ fault, times: count });
  }

  /** Every live utterance has it now; one that is past `afterDeltas` at its next delta. */
  strike(fault: UtteranceFault): void {
    this.#targets.strike(fault);
  }

  /** No utterance gets a delta any more, though `/health` stays well, until `resume`. */
  hang(): void {
    this.#targets.setHung(true);
  }

  resume(): void {
    this.#targets.setHung(false);
  }

  /** Every step takes so many times longer; 1 is healthy. A step of 0 ms stays one. */
  slowDown(factor: number): void {
    this.#targets.setSlowFactor(factor);
  }

  /** Nothing is armed, hung or slow any more. What has struck stays. */
  clear(): void {
    this.#utterance = [];
    this.#connection = [];
    this.resume();
    this.slowDown(1);
  }

  /** What the utterance that begins now has. For the server. */
  claimForUtterance(): UtteranceFault[] {
    return claim(this.#utterance);
  }

  /** What the connection that is made now has. For the server. */
  claimForConnection(): ConnectionFault[] {
    return claim(this.#connection);
  }
}

function claim<F>(armed: Armed<F>[]): F[] {
  const claimed: F[] = [];
  for (const entry of armed) {
    if (entry.times <= 0) continue;
    entry.times -= 1;
    claimed.push(entry.fault);
  }
  return claimed;
}

function isConnectionFault(fault: Fault): fault is ConnectionFault {
  return CONNECTION_KINDS.includes(fault.kind);
}
