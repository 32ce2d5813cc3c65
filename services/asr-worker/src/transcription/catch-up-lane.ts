import { SAMPLE_RATE } from '@voice-fleet/speech/pcm';
import type { AudioSource } from './audio-source.ts';
import type { CatchUp, CatchUpTurn } from './catch-up.ts';

/** Live audio of which so much waits is behind: hardly any does while an engine is in time. */
const BEHIND_SAMPLES = SAMPLE_RATE;
const CAUGHT_UP_SAMPLES = SAMPLE_RATE / 2;
/** The usual backlog is enough again when so little waits. */
const IN_TIME_SAMPLES = SAMPLE_RATE;

type Backlog = Pick<AudioSource, 'samples' | 'freshSamples' | 'owes'> & {
  set patient(patient: boolean);
};

/** Whether one utterance is behind, whether it is then its turn to catch up, and how much of its audio may wait meanwhile. */
export class CatchUpLane {
  readonly #source: Backlog;
  readonly #catchUp: CatchUp | undefined;
  readonly #onTurn: () => void;
  #turn: CatchUpTurn | undefined;
  /** Why more than usual may wait: what is heard again takes its time, and so does a turn to come. */
  #patience: 'replay' | 'turn' | undefined;

  /** Without `catchUp` every utterance goes as fast as its engine. */
  constructor(source: Backlog, catchUp: CatchUp | undefined, onTurn: () => void) {
    this.#source = source;
    this.#catchUp = catchUp;
    this.#onTurn = onTurn;
  }

  /** Audio comes that was heard before, and live audio waits behind it. */
  expectReplay(): void {
    this.#allow('replay');
  }

  /** Whether the engine may be given the next audio now; if not, `onTurn` is called when it may. */
  admits(recovering: boolean): boolean {
    const { samples, freshSamples, owes } = this.#source;
    if (samples < CAUGHT_UP_SAMPLES) this.leave(true);
    else if (recovering || owes || freshSamples > BEHIND_SAMPLES)
      this.#turn ??= this.#catchUp?.enter(this.#onTurn);
    const { granted, spent } = this.#turn ?? { granted: true, spent: false };
    if (!granted && !spent) this.#allow(this.#patience ?? 'turn');
    return granted;
  }

  /** The engine has taken some of it. */
  onTaken(recovering: boolean): void {
    const { samples, owes } = this.#source;
    const inTime = !recovering && !owes && samples < IN_TIME_SAMPLES;
    // An engine that is too slow even for one in its turn is to be told from one that was only waited for.
    const tooSlow = this.#patience === 'turn' && this.#turn?.spent;
    if (inTime || tooSlow) this.#allow(undefined);
  }

  leave(caughtUp: boolean): void {
    this.#turn?.leave(caughtUp);
    this.#turn = undefined;
  }

  #allow(patience: 'replay' | 'turn' | undefined): void {
    this.#patience = patience;
    this.#source.patient = patience !== undefined;
  }
}
