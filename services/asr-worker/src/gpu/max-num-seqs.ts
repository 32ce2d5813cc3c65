/** Upper bound of `--max-num-seqs`, estimated or set. */
export const MAX_NUM_SEQS = 512;
/** Without a card there is nothing to estimate from. */
const UNKNOWN_GPU_SEQS = 128;
/** `consolidated.safetensors` of Voxtral-Mini-4B-Realtime-2602, for as long as it is not on the disk. */
const WEIGHT_BYTES = 8.9e9;

const BYTES_PER_VALUE = 2;
const LAYERS = 26;
const KV_HEADS = 8;
const HEAD_DIM = 128;
/** Keys and values of one token: 104 KiB. */
const TOKEN_BYTES = 2 * LAYERS * KV_HEADS * HEAD_DIM * BYTES_PER_VALUE;
const WINDOW_TOKENS = 8192;
const MIB = 2 ** 20;
const MARGIN = 0.9;

export interface SeqsInput {
  /** VLLM_MAX_NUM_SEQS; absent when it is to be estimated. */
  readonly requested?: number;
  /** Memory of the card; absent without one. */
  readonly memoryMib?: number;
  readonly memoryUtilization: number;
  readonly maxModelLen: number;
  readonly maxBatchedTokens: number;
  /** Absent while the weights are not there. */
  readonly weightBytes?: number;
}

/**
 * How many sequences vLLM's scheduler may take into one step. This is not how many sessions a card serves in real time: it
 * leaves out the encoder's KV cache, which is the larger part, and the time a step takes. Slots are planned elsewhere,
 * and are fewer; this only has to stay above them.
 */
export function maxNumSeqs(input: SeqsInput): { value: number; notes: string[] } {
  if (input.requested !== undefined) {
    if (input.requested <= MAX_NUM_SEQS) return { value: input.requested, notes: [] };
    const note = `VLLM_MAX_NUM_SEQS=${input.requested} is more than ${MAX_NUM_SEQS}: ${MAX_NUM_SEQS} is used`;
    return { value: MAX_NUM_SEQS, notes: [note] };
  }
  if (input.memoryMib === undefined) return { value: UNKNOWN_GPU_SEQS, notes: [] };
  const usable = input.memoryMib * MIB * input.memoryUtilization;
  const budgetBytes = MARGIN * (usable - (input.weightBytes ?? WEIGHT_BYTES));
  const keptTokens = Math.min(input.maxModelLen, WINDOW_TOKENS - 1 + input.maxBatchedTokens);
  const fitting = Math.floor(budgetBytes / (TOKEN_BYTES * keptTokens));
  return { value: Math.min(Math.max(fitting, 1), MAX_NUM_SEQS), notes: [] };
}
