/** The vLLM that the images hold and that `wheel` installs. This model needs 0.20 at least. */
export const VLLM_VERSION = '0.22.0';
/** From 0.20 on. What goes wrong otherwise: vllm-project/vllm#44335. */
const CUDA_13_ONLY =
  `vLLM ${VLLM_VERSION} of the default package index is for CUDA 13 and fails beside a PyTorch for CUDA 12: set ` +
  'VLLM_WHEEL_INDEX_URL to the index of the builds for CUDA 12, or VLLM_WHEEL_URL to one of them. The page ' +
  `"Installation, GPU" in the documentation of vLLM names where they lie`;

const FALLBACK = 'cu128';
/** Measured with uv 0.8.3 and 0.13.8. */
const REFUSED = 'cu127';
const BACKENDS: Readonly<Record<string, string>> = {
  '12.6': 'cu126',
  '12.7': 'cu127',
  '12.8': 'cu128',
  '12.9': 'cu128',
};

export interface Wheel {
  /** For `uv pip install --torch-backend`. */
  readonly torchBackend: string;
  /** What PYTORCH_CUDA_INDEX_URL says. Absent: uv knows an index for the backend. */
  readonly indexUrl?: string;
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
  const index = indexUrl === undefined ? {} : { indexUrl };
  if (torchBackend !== undefined)
    return { torchBackend, ...index, skipped: indexUrl !== undefined, notes: [] };
  const known = BACKENDS[cudaVersion ?? ''];
  const backend = known ?? FALLBACK;
  const notes: string[] = [];
  if (!known)
    notes.push(
      `CUDA ${cudaVersion ?? 'of no known version'} is not in the table: ${FALLBACK} is taken`,
    );
  if (backend === REFUSED && indexUrl === undefined)
    notes.push(
      `uv refuses ${REFUSED}: set TORCH_BACKEND=cu126, or PYTORCH_CUDA_INDEX_URL to an index with such builds`,
    );
  return { torchBackend: backend, ...index, skipped: false, notes };
}

/** Where vLLM comes from; with neither, it is the pinned version of the default package index. */
export interface VllmSource {
  /** VLLM_WHEEL_INDEX_URL, where set: a package index that is asked first for the pinned version. */
  readonly indexUrl?: string;
  /** VLLM_WHEEL_URL, where set: taken instead of the pinned version. */
  readonly wheelUrl?: string;
}

export interface Installation {
  /** The words of the command. It installs into the Python environment it is run in. */
  readonly command: readonly string[];
  /** What to know before it is run. */
  readonly notes: readonly string[];
}

/** How vLLM is installed beside that build of PyTorch. */
export function installation(wheel: Wheel, vllm: VllmSource = {}): Installation {
  const { indexUrl, wheelUrl } = vllm;
  const fromDefault = indexUrl === undefined && wheelUrl === undefined;
  const command = [
    'uv',
    'pip',
    'install',
    ...(wheel.indexUrl === undefined
      ? ['--torch-backend', wheel.torchBackend]
      : ['--index-strategy', 'unsafe-best-match', '--extra-index-url', wheel.indexUrl]),
    ...(indexUrl === undefined || wheelUrl !== undefined ? [] : ['--extra-index-url', indexUrl]),
    wheelUrl ?? `vllm==${VLLM_VERSION}`,
    'mistral-common[audio]>=1.9',
  ];
  const notes = fromDefault && wheel.torchBackend.startsWith('cu12') ? [CUDA_13_ONLY] : [];
  return { command, notes };
}
