import { readdirSync, statSync } from 'node:fs';
import { dirname, join } from 'node:path';

/** The tokenizer of the model, which also holds the transcription delay: mistral-common reads it from here only. */
export const TEKKEN_FILE = 'tekken.json';
const NEEDED = ['params.json', TEKKEN_FILE];
const WEIGHTS = '*.safetensors';
/** What `--load-format mistral` reads. Other weights in the folder are the same model for other programs. */
const MISTRAL_WEIGHTS = /^consolidated.*\.safetensors$/;
/** The same for `hf`: twice the download for nothing. */
const OTHER_WEIGHTS = 'model*.safetensors';

export interface Snapshot {
  readonly ready: boolean;
  /** What has to come before it is. */
  readonly missing: readonly string[];
  /** Of the weights that vLLM loads; absent without any. */
  readonly weightBytes?: number;
}

/** Whether a folder holds the model: params.json, tekken.json and at least one *.safetensors, none of them empty. */
export function readSnapshot(folder: string): Snapshot {
  const weights = namesIn(folder).filter((name) => name.endsWith('.safetensors'));
  const sized = weights.map((name) => ({ name, bytes: fileBytes(join(folder, name)) }));
  const there = sized.filter(({ bytes }) => bytes > 0);
  const missing = NEEDED.filter((name) => fileBytes(join(folder, name)) === 0);
  if (there.length === 0) missing.push(WEIGHTS);
  const own = there.filter(({ name }) => MISTRAL_WEIGHTS.test(name));
  const weightBytes = (own.length > 0 ? own : there).reduce((sum, { bytes }) => sum + bytes, 0);
  return { ready: missing.length === 0, missing, ...(weightBytes > 0 ? { weightBytes } : {}) };
}

function namesIn(folder: string): string[] {
  try {
    return readdirSync(folder);
  } catch {
    return [];
  }
}

/** 0 where there is no file, also behind a link that leads nowhere. */
function fileBytes(path: string): number {
  const found = statSync(path, { throwIfNoEntry: false });
  return found?.isFile() ? found.size : 0;
}

export interface Download {
  readonly modelId: string;
  /** Branch, tag or commit; absent: the newest. */
  readonly revision?: string;
  readonly folder: string;
  /** First word of what starts vLLM: its environment has the downloader too. */
  readonly vllm: string;
}

const PYTHON = `import sys
from huggingface_hub import snapshot_download
snapshot_download(sys.argv[1], revision=sys.argv[2] or None, local_dir=sys.argv[3], ignore_patterns=[sys.argv[4]])`;

/**
 * Commands that fetch the model into the folder, to be tried in turn until one exists. They take the token from HF_TOKEN in
 * their environment, so it is in no command line.
 */
export function downloadCommands(download: Download): [string, ...string[]][] {
  const { modelId, revision, folder, vllm } = download;
  const beside = (name: string): string => (vllm.includes('/') ? join(dirname(vllm), name) : name);
  const rest = ['--exclude', OTHER_WEIGHTS, '--local-dir', folder];
  return [
    [
      beside('hf'),
      'download',
      modelId,
      ...(revision === undefined ? [] : ['--revision', revision]),
      ...rest,
    ],
    [beside('python3'), '-c', PYTHON, modelId, revision ?? '', folder, OTHER_WEIGHTS],
  ];
}
