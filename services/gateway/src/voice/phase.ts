import { VoiceError } from '@voice-fleet/protocol/errors';

/**
 * What a session of the voice pipeline is doing. CAPTURING: audio is taken; THINKING: it is over, and the final and the first
 * of the reply are waited for; RESPONDING: the reply comes; COMPLETE: the next start is waited for; ERROR: it is over for good.
 */
export type Phase = 'IDLE' | 'CAPTURING' | 'THINKING' | 'RESPONDING' | 'COMPLETE' | 'ERROR';

/** From THINKING and RESPONDING back to CAPTURING: the speaker cut in. */
const MOVES: Readonly<Record<Phase, readonly Phase[]>> = {
  IDLE: ['CAPTURING', 'COMPLETE', 'ERROR'],
  CAPTURING: ['THINKING', 'COMPLETE', 'ERROR'],
  THINKING: ['RESPONDING', 'CAPTURING', 'COMPLETE', 'ERROR'],
  RESPONDING: ['CAPTURING', 'COMPLETE', 'ERROR'],
  COMPLETE: ['CAPTURING', 'COMPLETE', 'ERROR'],
  ERROR: [],
};

/** The phase, and which may follow it. */
export class PhaseMachine {
  readonly #onMove: (from: Phase, to: Phase) => void;
  #phase: Phase = 'IDLE';

  constructor(onMove: (from: Phase, to: Phase) => void) {
    this.#onMove = onMove;
  }

  get phase(): Phase {
    return this.#phase;
  }

  /** An utterance or its reply is under way. */
  get busy(): boolean {
    return this.#phase === 'CAPTURING' || this.replying;
  }

  /** The utterance takes no more audio, and is not over yet. */
  get replying(): boolean {
    return this.#phase === 'THINKING' || this.#phase === 'RESPONDING';
  }

  /** Throws for a move that is none: that is a fault of ours, as what a client may do is looked at before. */
  move(to: Phase): void {
    const from = this.#phase;
    if (!MOVES[from].includes(to)) throw new Error(`no way from ${from} to ${to}`);
    this.#phase = to;
    if (from !== to) this.#onMove(from, to);
  }

  /** The client has done what it may not do in this phase: it is over for good. Throws VoiceError `protocol_violation`. */
  violate(): never {
    const { phase } = this;
    this.move('ERROR');
    throw new VoiceError('protocol_violation', { details: { phase } });
  }
}
