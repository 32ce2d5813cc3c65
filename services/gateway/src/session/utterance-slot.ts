import { VoiceError } from '@voice-fleet/protocol/errors';
import type { ResumedUtterance } from '@voice-fleet/protocol/session';
import type { Link } from './link.ts';
import type { SessionSink } from './session-deps.ts';
import type { Utterance } from './utterance.ts';

/** The one utterance that a session may have. */
export class UtteranceSlot {
  #utterance: Utterance | undefined;

  /** The utterance last begun, unless it is over. It may have failed. */
  get any(): Utterance | undefined {
    return this.#utterance;
  }

  /** The one that is under way. */
  get busy(): Utterance | undefined {
    return this.#utterance?.phase === 'failed' ? undefined : this.#utterance;
  }

  /** Its number and its text; number 0: there is none. */
  get transcript(): { readonly utterance: number; readonly text: string } {
    return { utterance: this.#utterance?.number ?? 0, text: this.#utterance?.text ?? '' };
  }

  /** The one under way, and from which of its own samples on its audio may be asked for again. */
  get keep(): ResumedUtterance | undefined {
    return this.busy?.keep;
  }

  /** `resumed`: another gateway has begun it. */
  put(utterance: Utterance, sink: Pick<SessionSink, 'began'>, resumed = false): void {
    const { id, number, traceparent } = utterance;
    utterance.traceparent = sink.began?.({ id, number, traceparent, resumed });
    this.#utterance = utterance;
  }

  clear(): void {
    this.#utterance = undefined;
  }

  /** Ends it without a word, at its worker too. */
  drop(link: Link | undefined, sink: Pick<SessionSink, 'letGo'>): void {
    const utterance = this.busy;
    this.#utterance = undefined;
    if (utterance === undefined) return;
    link?.cancel(utterance.number);
    sink.letGo?.(utterance.id);
  }

  /** Late events of an utterance that was cancelled or replaced are about nothing. */
  numbered(number: number): Utterance | undefined {
    return this.#utterance?.number === number ? this.#utterance : undefined;
  }

  /** The one that takes audio, or has failed. Throws VoiceError when there is none, or another than the client means. */
  expectOpen(utteranceId: string | undefined): Utterance {
    const utterance = this.#utterance;
    if (utterance === undefined || utterance.phase === 'finishing')
      throw new VoiceError('no_active_request');
    if (utteranceId !== undefined && utteranceId !== utterance.id) {
      throw new VoiceError('request_id_mismatch', { details: { active_request_id: utterance.id } });
    }
    return utterance;
  }
}
