import { join } from 'node:path';
import type { Ended } from './foreground.ts';
import type { LaunchConfig } from './launch-env.ts';
import { linkSnapshot } from './model-folder.ts';
import { downloadCommands, readSnapshot, TEKKEN_FILE } from './snapshot.ts';
import { writeDelay } from './tekken.ts';

export interface PrepareDeps {
  /** Runs one command that fetches the model; its environment holds the token. */
  readonly download: (command: readonly [string, ...string[]]) => Promise<Ended>;
  /** Tells one step: a name for machines, and for people what it was about. */
  readonly tell: (event: string, message: string) => void;
}

/**
 * Has the model ready to be served: there, or downloaded now, with the transcription delay in its tekken.json. Done twice it
 * changes nothing. Throws with what a person can do about it.
 */
export async function prepareModel(config: LaunchConfig, deps: PrepareDeps): Promise<void> {
  const { modelDir, snapshotDir, delayMs } = config;
  const source = snapshotDir ?? modelDir;
  if (!readSnapshot(source).ready) await download(config, deps);
  if (snapshotDir !== undefined) linkSnapshot(snapshotDir, modelDir);
  const done = writeDelay(join(source, TEKKEN_FILE), join(modelDir, TEKKEN_FILE), delayMs);
  if (typeof done === 'object') deps.tell('delay_skipped', done.warning);
  else if (done === 'written') deps.tell('delay_written', `the delay is ${delayMs} ms now`);
}

async function download(config: LaunchConfig, { download: run, tell }: PrepareDeps): Promise<void> {
  const { modelDir, snapshotDir, modelId, revision } = config;
  if (snapshotDir !== undefined) {
    const { missing } = readSnapshot(snapshotDir);
    throw new Error(
      `VOXTRAL_SNAPSHOT_DIR=${snapshotDir} lacks ${missing.join(', ')}, and nothing is downloaded into it`,
    );
  }
  tell('download', `${modelId} is downloaded into ${modelDir}`);
  const commands = downloadCommands({
    modelId,
    folder: modelDir,
    vllm: config.command[0],
    ...(revision === undefined ? {} : { revision }),
  });
  for (const command of commands) {
    const ended = await run(command);
    if (ended.kind === 'missing') continue;
    if (ended.exitCode !== 0) {
      throw new Error(
        `the download ended with exit code ${ended.exitCode} (its reason is above); a model that asks for consent needs HF_TOKEN`,
      );
    }
    const { missing } = readSnapshot(modelDir);
    if (missing.length === 0) return;
    throw new Error(`after the download ${modelDir} still lacks ${missing.join(', ')}`);
  }
  throw new Error(
    `${commands.map(([name]) => name).join(' and ')} are not there: install huggingface_hub (it comes with vLLM), or set VENV_DIR`,
  );
}
