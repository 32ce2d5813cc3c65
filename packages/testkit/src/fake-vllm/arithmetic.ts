import { VLLM_FRAME_SAMPLES } from '@voice-fleet/protocol/vllm-realtime';

/** What the realtime layer of vLLM and the tokenizer of Voxtral compute with: 16 kHz, 12.5 tokens a second. */
export const FRAME_MS = 80;
/** Zeros before the first audio, in frames. */
const LEFT_PAD_FRAMES = 32;
/** A step sees so much of the audio behind its frame. */
const LOOK_AHEAD_SAMPLES = 40;
/** Zeros after the last audio are one frame for each of delay, the present one and ten more. */
const EXTRA_RIGHT_PAD_FRAMES = 11;

/** Throws unless vLLM would take the delay: a positive multiple of 80 ms. */
export function delayFramesOf(delayMs: number): number {
  if (!Number.isInteger(delayMs / FRAME_MS) || delayMs <= 0)
    throw new RangeError(`the delay must be a positive multiple of ${FRAME_MS} ms, not ${delayMs}`);
  return delayMs / FRAME_MS;
}

/** The prompt: one start token, the left padding and the delay. 39 at the default delay of 480 ms. */
export function promptTokens(delayFrames: number): number {
  return 1 + LEFT_PAD_FRAMES + delayFrames;
}

/** Samples of the utterance, right padding included, that must be there before delta `ordinal`, from 0, can be computed. */
export function neededSamples(delayFrames: number, ordinal: number): number {
  return (1 + delayFrames + ordinal) * VLLM_FRAME_SAMPLES + LOOK_AHEAD_SAMPLES;
}

/** Samples of silence that vLLM itself puts behind an utterance. */
export function rightPadSamples(delayFrames: number): number {
  return (delayFrames + EXTRA_RIGHT_PAD_FRAMES) * VLLM_FRAME_SAMPLES;
}

const BLOCK_MIB = 16;

/** Size of the KV cache that an utterance of so many tokens, prompt included, holds. It comes in blocks and stops growing. */
export function kvMib(tokens: number): number {
  const encoderBlocks = Math.min(Math.ceil(tokens / 16), 48);
  const decoderBlocks = Math.min(Math.ceil(tokens / 128), 65);
  return BLOCK_MIB * (encoderBlocks + decoderBlocks);
}
