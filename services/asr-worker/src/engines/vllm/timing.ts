import { VLLM_FRAME_SAMPLES } from '@voice-fleet/protocol/vllm-realtime';

/** What the model looks ahead beside its delay: 82.5 ms. */
const LOOK_AHEAD_SAMPLES = 1320;
/** Frames of silence that vLLM adds behind a final, beside the delay. */
const FINAL_FRAMES = 11;
/** However short the audio. */
const FEWEST_DELTAS = 11;
/** Prompt tokens beside the delay: the start and the left padding. */
const PROMPT_TOKENS = 33;
/** The longest delay the model knows: 2400 ms. */
const MAX_DELAY_FRAMES = 30;

/** When vLLM answers what, for a model with a delay of `delayFrames` x 80 ms. */
export class DeltaTiming {
  readonly delayFrames: number;

  constructor(delayFrames: number) {
    this.delayFrames = delayFrames;
  }

  /** For a server whose delay is not known yet: expects nothing too soon. */
  static longest(): DeltaTiming {
    return new DeltaTiming(MAX_DELAY_FRAMES);
  }

  /** From the usage of an utterance, which tells the delay that the server runs with; undefined where it makes no sense. */
  static fromPromptTokens(promptTokens: number): DeltaTiming | undefined {
    const delayFrames = promptTokens - PROMPT_TOKENS;
    return delayFrames >= 1 && delayFrames <= MAX_DELAY_FRAMES
      ? new DeltaTiming(delayFrames)
      : undefined;
  }

  get promptTokens(): number {
    return PROMPT_TOKENS + this.delayFrames;
  }

  /** Audio that must have been sent before delta number `ordinal` (from 0) can come, in samples. */
  neededFor(ordinal: number): number {
    return (this.delayFrames + ordinal) * VLLM_FRAME_SAMPLES + LOOK_AHEAD_SAMPLES;
  }

  /** Where in the audio begins what delta number `ordinal` is about. */
  sampleOf(ordinal: number): number {
    return ordinal * VLLM_FRAME_SAMPLES;
  }

  /** Deltas that this much audio is answered with before its end is told. */
  deltasFor(samples: number): number {
    return Math.max(0, Math.floor((samples - this.neededFor(0)) / VLLM_FRAME_SAMPLES) + 1);
  }

  /** All deltas of an utterance this long. */
  deltasInAll(samples: number): number {
    const padded = samples + (this.delayFrames + FINAL_FRAMES) * VLLM_FRAME_SAMPLES;
    return Math.max(FEWEST_DELTAS, this.deltasFor(padded));
  }
}
