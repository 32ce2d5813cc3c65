/** The vLLM that the images hold and that `wheel` installs. This model needs 0.20 at least. */
export const VLLM_VERSION = '0.22.0';
/**
 * From 0.20 on the wheels on PyPI are for CUDA 13 and fail beside a PyTorch for CUDA 12 (vllm-project/vllm#44335). Those for
 * CUDA 12 lie here, all in one build.
 */
const CUDA_12_INDEX = `https://wheels.vllm.ai/${VLLM_VERSION}/cu129`;

const INDEX = 'https://download.pytorch.org/whl';
const FALLBACK = 'cu128';
const DOUBTFUL = 'cu127';
const BACKENDS: Readonly<Record<string, string>> = {
  '12.6': 'cu126',
  '12.7': 'cu127',
  '12.8': 'cu128',
  '12.9': 'cu128',
};

export interface Wheel {
  /** For `uv pip install --torch-backend`. */
  readonly torchBackend: string;
  readonly indexUrl: string;
  /** Whether the index was set, so that it is used instead of the one that uv knows for the backend. */
  readonly ownIndex: boolean;
  /** Whether both were set, so that nothing had to be found out. */
  readonly skipped: boolean;
  readonly notes: readonly string[];
}

export interface WheelInput {
  /** Such as `12.8`; absent when none was found. */
  readonly cudaVersion?: string;
  /** TORCH_BACKEND, where set. */
  readonly torchBackend?: string;
  /** PYTORCH_CUDA_INDEX_URL, where set. */
  readonly indexUrl?: string;
}

/** Which build of PyTorch fits the driver. What is set wins; the rest follows from the CUDA version. */
export function torchWheel(input: WheelInput): Wheel {
  const { torchBackend, indexUrl, cudaVersion } = input;
  const ownIndex = indexUrl !== undefined;
  if (torchBackend !== undefined) {
    const url = indexUrl ?? `${INDEX}/${torchBackend}`;
    return { torchBackend, indexUrl: url, ownIndex, skipped: ownIndex, notes: [] };
  }
  const known = BACKENDS[cudaVersion ?? ''];
  const backend = known ?? FALLBACK;
  const notes: string[] = [];
  if (!known)
    notes.push(
      `CUDA ${cudaVersion ?? 'of no known version'} is not in the table: ${FALLBACK} is taken`,
    );
  if (backend === DOUBTFUL)
    notes.push(
      `PyTorch may have no builds for ${DOUBTFUL}: set TORCH_BACKEND=cu126 if they are not found`,
    );
  const url = indexUrl ?? `${INDEX}/${backend}`;
  return { torchBackend: backend, indexUrl: url, ownIndex, skipped: false, notes };
}

/** The words of the command that installs vLLM into the Python environment it is run in. `wheelUrl`: another vLLM. */
export function installCommand(wheel: Wheel, wheelUrl?: string): string[] {
  const forCuda12 = wheel.torchBackend.startsWith('cu12') && wheelUrl === undefined;
  return [
    'uv',
    'pip',
    'install',
    ...(wheel.ownIndex
      ? ['--index-strategy', 'unsafe-best-match', '--extra-index-url', wheel.indexUrl]
      : ['--torch-backend', wheel.torchBackend]),
    ...(forCuda12 ? ['--extra-index-url', CUDA_12_INDEX] : []),
    wheelUrl ?? `vllm==${VLLM_VERSION}`,
    'mistral-common[audio]>=1.9',
  ];
}
