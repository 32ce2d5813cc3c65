import type { Gpu } from './probe.ts';

/** From this compute capability on, cards have fp8 arithmetic. */
const FP8_CAPABILITY = 8.9;

export interface KvDtype {
  /** For `--kv-cache-dtype`. */
  readonly applied: 'auto';
  /** Whether the card could; absent where its capability is unknown. */
  readonly fp8Capable?: boolean;
  readonly notes: readonly string[];
}

const WHY =
  'the causal audio encoder of this model is made for FlashAttention, which takes no fp8 KV cache in vLLM, and fp8 on it is untested';

/**
 * The KV cache always has the type of the model: fp8 made vLLM fail with this model. What the card could do and what was asked
 * for are told, never obeyed.
 */
export function kvDtype(
  requested: { readonly dtype: string; readonly calculateScales: boolean },
  gpu: Gpu | undefined,
): KvDtype {
  const notes: string[] = [];
  const capability = gpu?.computeCapability;
  const fp8Capable = capability === undefined ? undefined : capability >= FP8_CAPABILITY;
  if (requested.dtype !== 'auto') {
    notes.push(`VLLM_KV_CACHE_DTYPE=${requested.dtype} is not applied, auto is: ${WHY}`);
  } else if (fp8Capable) {
    notes.push(`compute capability ${capability} has fp8, the KV cache stays auto: ${WHY}`);
  }
  if (requested.calculateScales) {
    notes.push('VLLM_CALCULATE_KV_SCALES is not applied: only an fp8 KV cache has scales');
  }
  return { applied: 'auto', ...(fp8Capable === undefined ? {} : { fp8Capable }), notes };
}
