/** Flags of `vllm serve` that are not taken from VLLM_EXTRA_ARGS, with what to do instead. */
const OWNED: Readonly<Record<string, string>> = {
  '--api-key': 'a command line is read by everybody on the machine, set VLLM_API_KEY',
  '--hf-token': 'a command line is read by everybody on the machine, set HF_TOKEN',
  '--model': 'set VOXTRAL_MODEL_DIR',
  '--served-model-name': 'set VOXTRAL_SERVED_MODEL_NAME',
  '--host': 'set VLLM_HOST',
  '--port': 'set VLLM_PORT',
  '--dtype': 'set VLLM_DTYPE',
  '--kv-cache-dtype': 'this model runs with auto only',
  '--calculate-kv-scales': 'this model runs without',
  '--max-model-len': 'set VLLM_MAX_MODEL_LEN, which the worker reads too',
  '--max-num-seqs': 'set VLLM_MAX_NUM_SEQS',
  '--gpu-memory-utilization': 'set VLLM_GPU_MEMORY_UTILIZATION',
  '--enforce-eager': 'set VLLM_ENFORCE_EAGER',
  '--compilation-config': 'set VLLM_COMPILATION_CONFIG',
  '-cc': 'set VLLM_COMPILATION_CONFIG',
  '-O': 'set VLLM_COMPILATION_CONFIG',
  '--tokenizer-mode': 'this model has one form only',
  '--config-format': 'this model has one form only',
  '--load-format': 'this model has one form only',
};

/**
 * The first word that sets what a variable sets, in any way vLLM takes it: `_` for `-`, `--flag=value`, a flag cut short, `-O3`,
 * `-cc.key`.
 */
export function foreignFlag(
  words: readonly string[],
): { readonly flag: string; readonly instead: string } | undefined {
  for (const word of words) {
    const name = /^--[^=.]+|^-cc\b|^-O/.exec(word)?.[0].replaceAll('_', '-');
    if (name === undefined) continue;
    const owned = Object.entries(OWNED).find(([flag]) => flag.startsWith(name));
    if (owned) return { flag: owned[0], instead: owned[1] };
  }
  return undefined;
}
