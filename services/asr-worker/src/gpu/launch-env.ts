import { resolve } from 'node:path';
import { booleanVar, type EnvMeta, enumVar, integerVar, textVar } from '@voice-fleet/runtime/env';
import { z } from 'zod';
import { type Compilation, parseCompilation } from './compilation.ts';
import { DELAY_RULE, delayWarning, isDelay } from './delay.ts';
import { foreignFlag } from './owned-flags.ts';
import { splitWords } from './shell-words.ts';

const DTYPES = ['auto', 'half', 'float16', 'bfloat16', 'float', 'float32'] as const;
const DEFAULT_UTILIZATION = 0.92;
const DEFAULT_COMPILATION = '{"cudagraph_mode":"PIECEWISE"}';

/** A variable whose value `parse` makes of its words; what it throws is the fault. */
function parsedVar<T>(meta: EnvMeta, parse: (raw: string) => T): z.ZodType<T> {
  return z
    .string()
    .optional()
    .transform((raw, context) => {
      try {
        return parse(raw === undefined || raw.trim() === '' ? meta.default : raw.trim());
      } catch (error) {
        context.addIssue({ code: 'custom', message: (error as Error).message });
        return z.NEVER;
      }
    })
    .meta({ ...meta });
}

function wordsOf(raw: string): string[] {
  try {
    return splitWords(raw);
  } catch (error) {
    throw new Error(`must be words as in a shell: it ${(error as Error).message}`);
  }
}

function commandWords(raw: string): readonly [string, ...string[]] {
  const [program, ...rest] = wordsOf(raw);
  if (!program) throw new Error('must name a program');
  return [program, ...rest];
}

function extraWords(raw: string): string[] {
  const words = wordsOf(raw);
  const foreign = foreignFlag(words);
  if (foreign) throw new Error(`must not hold ${foreign.flag}: ${foreign.instead}`);
  return words;
}

function delayMs(raw: string): number {
  const value = Number(raw);
  if (!isDelay(value)) throw new Error(`must be ${DELAY_RULE}, not "${raw}"`);
  return value;
}

/** Out of range it is not refused, but told: deployments that were written for the service before go on working. */
function utilization(raw: string): { value: number; notes: string[] } {
  const value = Number(raw);
  if (value > 0 && value <= 1) return { value, notes: [] };
  const note = `VLLM_GPU_MEMORY_UTILIZATION=${raw} is not above 0 and at most 1: ${DEFAULT_UTILIZATION} is used`;
  return { value: DEFAULT_UTILIZATION, notes: [note] };
}

/** Every variable that the launcher of vLLM reads. `docs/configuration.md` is generated from it. */
export const LaunchEnv = z
  .object({
    VOXTRAL_MODEL_ID: textVar({
      default: 'mistralai/Voxtral-Mini-4B-Realtime-2602',
      pattern: /^\w[\w.-]*\/\w[\w.-]*$/,
      doc: 'Model on Hugging Face.',
    }),
    VOXTRAL_MODEL_REVISION: textVar({
      default: '',
      pattern: /^\w[\w./-]*$/,
      doc: 'Branch, tag or commit that is downloaded; empty: the newest.',
    }),
    VOXTRAL_SERVED_MODEL_NAME: textVar({
      default: '',
      pattern: /^[^\s-]\S*$/,
      doc: 'Name under which vLLM serves the model; empty: VOXTRAL_MODEL_ID.',
    }),
    VOXTRAL_MODEL_DIR: textVar({
      default: 'models/voxtral',
      doc: 'Folder that vLLM loads; the model is downloaded into it when it is not there.',
    }),
    VOXTRAL_SNAPSHOT_DIR: textVar({
      default: '',
      doc: 'Folder with the model that is never written to, such as one in the cache of Hugging Face. VOXTRAL_MODEL_DIR then gets links to it and an own tekken.json.',
    }),
    VOXTRAL_TRANSCRIPTION_DELAY_MS: parsedVar(
      {
        type: DELAY_RULE,
        default: '400',
        doc: 'How far the text follows the audio; written into tekken.json. One for all sessions of a vLLM.',
      },
      delayMs,
    ),
    HF_TOKEN: textVar({
      default: '',
      secret: true,
      doc: 'Token for the download; given to nothing else.',
    }),
    VLLM_COMMAND: parsedVar(
      { type: 'words', default: 'vllm', doc: 'Command that `serve` and its flags are added to.' },
      commandWords,
    ),
    VENV_DIR: textVar({
      default: '',
      doc: 'Python environment with vLLM; its bin folder comes first in PATH. Empty: PATH as it is.',
    }),
    VLLM_HOST: textVar({
      default: '127.0.0.1',
      pattern: /^[\w.:]+(?:-[\w.:-]*)?$/,
      doc: 'Address vLLM listens on. /metrics and /health are open there even with a key.',
    }),
    VLLM_PORT: integerVar({
      default: 8300,
      min: 1,
      max: 65_535,
      doc: 'Port of vLLM. Not handed on: to vLLM itself the same variable means something else.',
    }),
    VLLM_API_KEY: textVar({
      default: '',
      secret: true,
      doc: 'Key that vLLM asks of its clients under /v1. Empty: none.',
    }),
    VLLM_DTYPE: enumVar(DTYPES, { default: 'auto', doc: 'Type of the weights in memory.' }),
    VLLM_GPU_MEMORY_UTILIZATION: parsedVar(
      {
        type: 'number above 0, at most 1',
        default: String(DEFAULT_UTILIZATION),
        doc: 'Share of the memory of the card that vLLM takes. Anything else is told and counts as the default.',
      },
      utilization,
    ),
    VLLM_MAX_MODEL_LEN: integerVar({
      default: 1024,
      min: 256,
      max: 131_072,
      doc: 'Tokens of an utterance inside vLLM; one that reaches it ends vLLM. The worker reads the same variable and cuts segments well before.',
    }),
    VLLM_MAX_NUM_SEQS: integerVar({
      default: 0,
      min: 0,
      max: 65_536,
      doc: 'Sequences in one step at the most, up to 512; 0: estimated from the memory of the card. Says nothing of real time.',
    }),
    VLLM_ENFORCE_EAGER: booleanVar({
      default: false,
      doc: 'Without CUDA graphs: starts sooner, is slower.',
    }),
    VLLM_KV_CACHE_DTYPE: textVar({
      default: 'auto',
      doc: 'Always auto for this model; anything else is told and not applied.',
    }),
    VLLM_CALCULATE_KV_SCALES: booleanVar({
      default: false,
      doc: 'Told and not applied, as it is for fp8 only.',
    }),
    VLLM_COMPILATION_CONFIG: parsedVar<Compilation>(
      {
        type: 'JSON object or null',
        default: DEFAULT_COMPILATION,
        doc: 'For vLLM. Full CUDA graphs are replaced by PIECEWISE; null runs without graphs.',
      },
      parseCompilation,
    ),
    VLLM_DISABLE_COMPILE_CACHE: booleanVar({
      default: true,
      doc: 'Handed to vLLM. On PyTorch before 2.11 the cache must be off; each start compiles anew.',
    }),
    VLLM_ENGINE_ITERATION_TIMEOUT_S: integerVar({
      default: 3600,
      min: 60,
      max: 604_800,
      doc: 'Handed to vLLM: an utterance that gets no audio for longer goes silent for good.',
    }),
    VLLM_EXTRA_ARGS: parsedVar(
      {
        type: 'words',
        default: '',
        doc: 'Flags added last, such as --api-server-count 2. Those that a variable sets are refused.',
      },
      extraWords,
    ),
    TORCH_BACKEND: textVar({
      default: '',
      pattern: /^\w+$/,
      doc: 'Build of PyTorch, such as cu128; empty: by the CUDA version of the driver.',
    }),
    PYTORCH_CUDA_INDEX_URL: textVar({
      default: '',
      pattern: /^https?:\/\/\S+$/,
      doc: 'Package index with that build; empty: the one that uv knows for TORCH_BACKEND.',
    }),
    VLLM_WHEEL_INDEX_URL: textVar({
      default: '',
      pattern: /^https?:\/\/\S+$/,
      doc: 'Package index that is asked first for vLLM. Needed with a PyTorch for CUDA 12: the default index has vLLM for CUDA 13 only.',
    }),
    VLLM_WHEEL_URL: textVar({
      default: '',
      pattern: /^(?:https?|file):\/\/\S+$/,
      doc: 'Wheel of vLLM to install instead of the pinned version.',
    }),
    CUDA_VISIBLE_DEVICES: textVar({
      default: '',
      doc: 'As in CUDA; the first card of it is the one that is planned for.',
    }),
  })
  .transform((env) => {
    const warning = delayWarning(env.VOXTRAL_TRANSCRIPTION_DELAY_MS);
    return {
      modelId: env.VOXTRAL_MODEL_ID,
      revision: orAbsent(env.VOXTRAL_MODEL_REVISION),
      servedName: env.VOXTRAL_SERVED_MODEL_NAME || env.VOXTRAL_MODEL_ID,
      modelDir: resolve(env.VOXTRAL_MODEL_DIR),
      snapshotDir: env.VOXTRAL_SNAPSHOT_DIR === '' ? undefined : resolve(env.VOXTRAL_SNAPSHOT_DIR),
      delayMs: env.VOXTRAL_TRANSCRIPTION_DELAY_MS,
      command: env.VLLM_COMMAND,
      venvDir: env.VENV_DIR === '' ? undefined : resolve(env.VENV_DIR),
      host: env.VLLM_HOST,
      port: env.VLLM_PORT,
      hasApiKey: env.VLLM_API_KEY !== '',
      dtype: env.VLLM_DTYPE,
      memoryUtilization: env.VLLM_GPU_MEMORY_UTILIZATION.value,
      maxModelLen: env.VLLM_MAX_MODEL_LEN,
      maxNumSeqs: env.VLLM_MAX_NUM_SEQS === 0 ? undefined : env.VLLM_MAX_NUM_SEQS,
      eager: env.VLLM_ENFORCE_EAGER,
      kv: { dtype: env.VLLM_KV_CACHE_DTYPE, calculateScales: env.VLLM_CALCULATE_KV_SCALES },
      compilation: env.VLLM_COMPILATION_CONFIG,
      disableCompileCache: env.VLLM_DISABLE_COMPILE_CACHE,
      iterationTimeoutS: env.VLLM_ENGINE_ITERATION_TIMEOUT_S,
      extraArgs: env.VLLM_EXTRA_ARGS,
      torchBackend: orAbsent(env.TORCH_BACKEND),
      indexUrl: orAbsent(env.PYTORCH_CUDA_INDEX_URL),
      wheelIndexUrl: orAbsent(env.VLLM_WHEEL_INDEX_URL),
      wheelUrl: orAbsent(env.VLLM_WHEEL_URL),
      visibleDevices: orAbsent(env.CUDA_VISIBLE_DEVICES),
      /** What was taken although it should be put right. */
      notes: [
        ...env.VLLM_GPU_MEMORY_UTILIZATION.notes,
        ...(warning === undefined ? [] : [warning]),
      ],
    };
  });

export type LaunchConfig = z.infer<typeof LaunchEnv>;

/** Variables that mean something to the launcher only. vLLM takes VLLM_PORT for a port of its own, and warns of the others. */
export const OWN_VARIABLES: readonly string[] = Object.keys(LaunchEnv.def.in.shape).filter(
  (name) => !['VLLM_API_KEY', 'CUDA_VISIBLE_DEVICES'].includes(name),
);

function orAbsent(text: string): string | undefined {
  return text === '' ? undefined : text;
}
