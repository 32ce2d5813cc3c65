import type { LinkWord } from '@voice-fleet/protocol/link';
import type { SessionEvent } from '@voice-fleet/protocol/session';
import type { MoveCause } from '../session/link-holder.ts';
import type { BegunUtterance, SessionSink } from '../session/session-deps.ts';
import { SinkFilter } from '../session/sink-filter.ts';

/** What a chronicle hears of its session. */
export interface SessionWitness {
  onBegan(utterance: BegunUtterance): string | undefined;
  onLetGo(utteranceId: string): void;
  onSession(event: SessionEvent): void;
  onTaken(sample: number): void;
  onMoved(cause: MoveCause, tookMs: number): void;
}

/** Stands between a session and its owner, and lets its chronicle hear what is told. It sees no frame of audio. */
export class ChronicleSink extends SinkFilter {
  readonly #sink: SessionSink;
  readonly #witness: SessionWitness;

  constructor(sink: SessionSink, witness: SessionWitness) {
    super(sink);
    this.#sink = sink;
    this.#witness = witness;
  }

  get busy(): boolean {
    return this.#sink.busy === true;
  }

  event(event: SessionEvent): void {
    this.#witness.onSession(event);
    this.#sink.event(event);
  }

  began(utterance: BegunUtterance): string | undefined {
    return this.#witness.onBegan(utterance);
  }

  letGo(utteranceId: string): void {
    this.#witness.onLetGo(utteranceId);
  }

  heard(utteranceId: string, words: readonly LinkWord[]): void {
    this.#sink.heard?.(utteranceId, words);
  }

  onTaken(sample: number, workMs: number | undefined): void {
    this.#witness.onTaken(sample);
    this.#sink.onTaken?.(sample, workMs);
  }

  speech(moment: 'started' | 'ended', utteranceId: string, sample: number): void {
    this.#sink.speech?.(moment, utteranceId, sample);
  }

  override moved(cause: MoveCause, tookMs: number): void {
    this.#witness.onMoved(cause, tookMs);
    super.moved(cause, tookMs);
  }
}
