const MIB_PER_GIB = 1024;
/** Weights in BF16 (8.86 GB), and what activations, graphs and the profiling of the encoder are taken to need. */
const WEIGHTS_GIB = 8.25;
const WORKING_GIB = 3;
/** vLLM pads every group of layers to 32 pages of 512 KiB: one block of either cache. */
const BLOCK_MIB = 16;
const ENCODER_TOKENS_PER_BLOCK = 16;
const DECODER_TOKENS_PER_BLOCK = 128;
/** The cache manager counts the encoder's window of 750 in tokens, that is 60 s. */
const MAX_ENCODER_BLOCKS = 48;
/** A window of 8192 tokens and the block being filled. */
const MAX_DECODER_BLOCKS = 65;
const TOKENS_PER_SECOND = 12.5;
const FRAME_MS = 80;
/** BOS and the 32 frames of left padding. */
const PREFIX_TOKENS = 33;

/** The delay of the published model: 6 frames. */
export const DEFAULT_DELAY_MS = 480;

/** Tokens of a Voxtral realtime utterance of `utteranceS` seconds: 39 for the prompt at the default delay, 12.5 a second. */
export function utteranceTokens(utteranceS: number, delayMs = DEFAULT_DELAY_MS): number {
  return PREFIX_TOKENS + delayMs / FRAME_MS + TOKENS_PER_SECOND * utteranceS;
}

/**
 * KV cache in MiB that one open utterance holds. It grows with the age of the utterance, the first minute most, up to
 * 1808 MiB after 11 minutes. Checked against a user's report on a 24 GB card (vllm-project/vllm#39996).
 */
export function utteranceKvMib(utteranceS: number, delayMs = DEFAULT_DELAY_MS): number {
  const tokens = utteranceTokens(utteranceS, delayMs);
  const encoder = Math.min(Math.ceil(tokens / ENCODER_TOKENS_PER_BLOCK), MAX_ENCODER_BLOCKS);
  const decoder = Math.min(Math.ceil(tokens / DECODER_TOKENS_PER_BLOCK), MAX_DECODER_BLOCKS);
  return BLOCK_MIB * (encoder + decoder);
}

/** KV pool in GiB on a GPU with `memoryGib`, of which vLLM may use the part `utilization`; 0 where the model does not fit. */
export function kvPoolGib(memoryGib: number, utilization: number): number {
  return Math.max(0, utilization * memoryGib - WEIGHTS_GIB - WORKING_GIB);
}

/** Sessions that fit even when all of them are `utteranceS` seconds into their utterance at once. */
export function safeSessions(
  poolGib: number,
  utteranceS: number,
  delayMs = DEFAULT_DELAY_MS,
): number {
  return Math.floor((poolGib * MIB_PER_GIB) / utteranceKvMib(utteranceS, delayMs));
}

/**
 * Mean MiB of a session whose utterances are cut every `rollS` seconds, each at its own time. Taken at the end of each
 * second, which is 2 % above the integral.
 */
export function meanKvMib(rollS: number, delayMs = DEFAULT_DELAY_MS): number {
  const seconds = Math.max(1, Math.ceil(rollS));
  let sumMib = 0;
  for (let second = 1; second <= seconds; second += 1) sumMib += utteranceKvMib(second, delayMs);
  return sumMib / seconds;
}

/** Sessions that fit on the mean when they roll every `rollS` seconds. */
export function meanSessions(poolGib: number, rollS: number, delayMs = DEFAULT_DELAY_MS): number {
  return Math.floor((poolGib * MIB_PER_GIB) / meanKvMib(rollS, delayMs));
}
