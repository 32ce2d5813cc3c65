import { VoiceError } from '@voice-fleet/protocol/errors';
import type { SessionEvent } from '@voice-fleet/protocol/session';
import type { TurnEvent } from '@voice-fleet/protocol/turn';
import type { ReplyTaker } from './reply.ts';

export const TURN_OUTCOMES = [
  'spoken',
  'failed',
  'cancelled',
  'barged_in',
  'replaced',
  'gone',
] as const;
/** How a reply ended; `replaced`: by another start, `gone`: with its connection. */
export type TurnOutcome = (typeof TURN_OUTCOMES)[number];

export interface TurnListener {
  event(event: SessionEvent): void;
  /** Which model answers, and what speaks. */
  onStarted(model: string, tts: string | undefined): void;
  /** Number of the next phrase of the session. */
  nextSeq(): number;
  onEnd(end: ReplyEnd): void;
}

/** How a reply ended. `spoke`: some of it can be heard, or all that there was to say was said. */
export interface ReplyEnd {
  readonly outcome: 'spoken' | 'failed';
  readonly spoke: boolean;
  /** What it broke off with; what was told in the reply itself is not here. */
  readonly error?: unknown;
}

/** What llm-tts tells of one turn, as the client is told. */
export class TurnTaker implements ReplyTaker<TurnEvent> {
  readonly #utteranceId: string;
  readonly #listener: TurnListener;
  /** The phrase spoken last: its number in the turn, and in the session. */
  #phrase: { readonly phrase: number; readonly seq: number } | undefined;
  #outcome: ReplyEnd['outcome'] | undefined;

  constructor(utteranceId: string, listener: TurnListener) {
    this.#utteranceId = utteranceId;
    this.#listener = listener;
  }

  take(event: TurnEvent): void {
    const utteranceId = this.#utteranceId;
    const listener = this.#listener;
    switch (event.type) {
      case 'started':
        return listener.onStarted(event.model, event.tts);
      case 'token':
        return listener.event({
          kind: 'token',
          utteranceId,
          text: event.done ? '' : event.text,
          done: event.done,
        });
      case 'speech': {
        const { phrase, audio, durationMs } = event;
        const seq = listener.nextSeq();
        this.#phrase = { phrase, seq };
        return listener.event({ kind: 'speech', utteranceId, seq, audio, durationMs });
      }
      case 'phrase_done': {
        if (this.#phrase?.phrase !== event.phrase) return;
        return listener.event({ kind: 'phrase-done', utteranceId, seq: this.#phrase.seq });
      }
      case 'phrase_dropped':
        return listener.event({
          kind: 'notice',
          code: 'phrase_dropped',
          message: 'Too many phrases waited to be spoken; one was left out.',
        });
      case 'error': {
        const { code, message } = event;
        return listener.event({
          kind: 'error',
          error: new VoiceError(code, { message }),
          utteranceId,
        });
      }
      case 'complete':
        this.#outcome = event.outcome;
    }
  }

  end(error: unknown): void {
    const outcome = error === undefined ? (this.#outcome ?? 'failed') : 'failed';
    const spoke = outcome === 'spoken' || this.#phrase !== undefined;
    this.#listener.onEnd({ outcome, spoke, ...(error !== undefined && { error }) });
  }
}
