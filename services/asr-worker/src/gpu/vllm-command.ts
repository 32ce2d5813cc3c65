import { planCompilation } from './compilation.ts';
import type { GpuProfile } from './gpu-profile.ts';
import { kvDtype } from './kv-dtype.ts';
import { type LaunchConfig, OWN_VARIABLES } from './launch-env.ts';
import { maxNumSeqs } from './max-num-seqs.ts';
import type { Gpu } from './probe.ts';

/** What is known of the machine. */
export interface Machine {
  readonly profile: GpuProfile;
  /** Absent without a card. */
  readonly gpu?: Gpu;
  /** Of the weights on the disk; absent before they are there. */
  readonly weightBytes?: number;
}

export interface VllmCommand {
  readonly command: string;
  readonly args: readonly string[];
  /** Variables that are set on top of the launcher's own environment. */
  readonly env: Readonly<Record<string, string>>;
  /** Variables of the launcher that vLLM must not see. */
  readonly unset: readonly string[];
  /** What was decided for a reason that a person should know. */
  readonly notes: readonly string[];
}

/** Keys of clients of the fleet are none of vLLM's business either. */
const OTHER_SECRETS = ['VOXTRAL_API_KEY'];
const LOOPBACK = /^(?:127\.[\d.]+|::1|localhost)$/;
/** As the driver counts, so that the card that was asked about is the one that CUDA takes. */
const DEVICE_ORDER = 'PCI_BUS_ID';

/** The command that serves the model. Decides everything, touches nothing. The key stays in the environment. */
export function vllmCommand(config: LaunchConfig, machine: Machine): VllmCommand {
  const { profile, gpu, weightBytes } = machine;
  const [command, ...words] = config.command;
  const kv = kvDtype(config.kv, gpu);
  const compilation = planCompilation(config.compilation, config.eager);
  const seqs = maxNumSeqs({
    memoryUtilization: config.memoryUtilization,
    maxModelLen: config.maxModelLen,
    maxBatchedTokens: profile.maxBatchedTokens,
    ...(config.maxNumSeqs === undefined ? {} : { requested: config.maxNumSeqs }),
    ...(gpu === undefined ? {} : { memoryMib: gpu.memoryMib }),
    ...(weightBytes === undefined ? {} : { weightBytes }),
  });
  const flags: Record<string, string | number> = {
    '--served-model-name': config.servedName,
    '--host': config.host,
    '--port': config.port,
    '--tokenizer-mode': 'mistral',
    '--config-format': 'mistral',
    '--load-format': 'mistral',
    '--dtype': config.dtype,
    '--kv-cache-dtype': kv.applied,
    '--gpu-memory-utilization': config.memoryUtilization,
    '--max-model-len': config.maxModelLen,
    '--max-num-seqs': seqs.value,
    '--max-num-batched-tokens': profile.maxBatchedTokens,
    ...(compilation.config === undefined
      ? {}
      : { '--compilation_config': JSON.stringify(compilation.config) }),
  };
  return {
    command,
    args: [
      ...words,
      'serve',
      config.modelDir,
      ...Object.entries(flags).flatMap(([flag, value]) => [flag, String(value)]),
      ...(compilation.eager ? ['--enforce-eager'] : []),
      ...config.extraArgs,
    ],
    env: {
      CUDA_DEVICE_ORDER: DEVICE_ORDER,
      VLLM_DISABLE_COMPILE_CACHE: config.disableCompileCache ? '1' : '0',
      VLLM_ENGINE_ITERATION_TIMEOUT_S: String(config.iterationTimeoutS),
    },
    unset: [
      ...OWN_VARIABLES.filter(
        (name) =>
          name !== 'VLLM_DISABLE_COMPILE_CACHE' && name !== 'VLLM_ENGINE_ITERATION_TIMEOUT_S',
      ),
      ...OTHER_SECRETS,
      // Empty it would hide every card; to the launcher it counts as unset.
      ...(config.visibleDevices === undefined ? ['CUDA_VISIBLE_DEVICES'] : []),
      ...(config.hasApiKey ? [] : ['VLLM_API_KEY']),
    ],
    notes: [
      ...config.notes,
      ...profile.notes,
      ...seqs.notes,
      ...kv.notes,
      ...compilation.notes,
      ...(LOOPBACK.test(config.host) || config.hasApiKey
        ? []
        : [`vLLM listens on ${config.host} without a key: set VLLM_API_KEY`]),
    ],
  };
}
