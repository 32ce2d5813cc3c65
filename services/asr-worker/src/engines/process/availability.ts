import { accessSync, constants, statSync } from 'node:fs';
import { join, resolve } from 'node:path';

/** Weights that every model folder of voxtral.c holds. */
const MODEL_FILE = 'consolidated.safetensors';

export interface ProcessFiles {
  /** The program; a relative path counts from the worker's folder, and nothing is looked up in PATH. */
  readonly binary: string;
  readonly modelDir: string;
}

export type ProcessPart = 'binary' | 'model';

export interface ProcessAvailability {
  readonly available: boolean;
  readonly missing: readonly ProcessPart[];
  /** One sentence with the paths, for operators; absent where nothing is missing. */
  readonly reason?: string;
}

/** Looks at the files only: nothing is started. */
export function processAvailability(files: ProcessFiles): ProcessAvailability {
  const binary = resolve(files.binary);
  const model = resolve(join(files.modelDir, MODEL_FILE));
  const faults = new Map<ProcessPart, string>();
  const binaryFault = !isFile(binary)
    ? 'is no file'
    : isExecutable(binary)
      ? undefined
      : 'may not be executed';
  if (binaryFault !== undefined) faults.set('binary', `the binary ${binary} ${binaryFault}`);
  if (!isFile(model)) faults.set('model', `the model file ${model} is no file`);
  if (faults.size === 0) return { available: true, missing: [] };
  const reason = `the speech process cannot run: ${[...faults.values()].join(', and ')}`;
  return { available: false, missing: [...faults.keys()], reason };
}

function isFile(path: string): boolean {
  return statSync(path, { throwIfNoEntry: false })?.isFile() ?? false;
}

function isExecutable(path: string): boolean {
  try {
    accessSync(path, constants.X_OK);
    return true;
  } catch {
    return false;
  }
}
