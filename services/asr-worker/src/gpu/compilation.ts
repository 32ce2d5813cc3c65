/** What vLLM gets for `--compilation_config`; `undefined` for no such flag. */
export type Compilation = Readonly<Record<string, unknown>> | undefined;

export const PIECEWISE = 'PIECEWISE';
/** vLLM's modes without a full CUDA graph in them. */
const ALLOWED = [PIECEWISE, 'NONE'];

/** Reads VLLM_COMPILATION_CONFIG: a JSON object, or `null` for none. Throws with what is wrong about it. */
export function parseCompilation(text: string): Compilation {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    throw new Error('must be a JSON object or null');
  }
  if (value === null) return undefined;
  if (typeof value !== 'object' || Array.isArray(value))
    throw new Error('must be a JSON object or null');
  return value as Record<string, unknown>;
}

/** What is passed to vLLM instead of what was asked for. */
export interface CompilationPlan {
  readonly config: Compilation;
  readonly eager: boolean;
  readonly notes: readonly string[];
}

/**
 * The model asserts at its start that no full CUDA graphs are used, and vLLM uses them where nothing else is said: so this says
 * PIECEWISE, or runs without graphs.
 */
export function planCompilation(asked: Compilation, eager: boolean): CompilationPlan {
  if (eager) return { config: undefined, eager, notes: [] };
  if (asked === undefined) {
    const note =
      'without a compilation config vLLM makes full CUDA graphs, with which this model aborts: --enforce-eager is added';
    return { config: undefined, eager: true, notes: [note] };
  }
  const { full_cuda_graph: full, ...rest } = asked;
  const mode = rest['cudagraph_mode'];
  const allowed = typeof mode === 'string' && ALLOWED.includes(mode.toUpperCase());
  if (allowed && full !== true) return { config: asked, eager: false, notes: [] };
  const named = full === true ? 'full_cuda_graph' : `cudagraph_mode ${JSON.stringify(mode)}`;
  const notes =
    mode === undefined && full !== true
      ? []
      : [`${named} is not applied: this model aborts with full CUDA graphs, ${PIECEWISE} is used`];
  return { config: { ...rest, cudagraph_mode: PIECEWISE }, eager: false, notes };
}
