import { delimiter, join } from 'node:path';
import { parseArgs } from 'node:util';
import { ConfigError, parseEnv } from '@voice-fleet/runtime/env';
import { installation, torchWheel } from '../gpu/cuda-wheel.ts';
import { Foreground } from '../gpu/foreground.ts';
import { type GpuProfile, gpuProfile } from '../gpu/gpu-profile.ts';
import { type LaunchConfig, LaunchEnv } from '../gpu/launch-env.ts';
import { prepareModel } from '../gpu/prepare.ts';
import { type Probe, probeGpu } from '../gpu/probe.ts';
import { runCommand } from '../gpu/run-command.ts';
import { quoteWord } from '../gpu/shell-words.ts';
import { readSnapshot } from '../gpu/snapshot.ts';
import { type VllmCommand, vllmCommand } from '../gpu/vllm-command.ts';

const HELP = `Serves Voxtral with vLLM, with settings that fit the graphics card.

Usage: vllm.ts args|prepare|run|wheel [--json]

args     prints the command that run would start, and on stderr why it is so
prepare  downloads the model if it is not there, and writes the transcription delay into it
run      prepare, then vLLM in the foreground; signals go to it, its exit code is returned
wheel    prints the command that installs vLLM for the CUDA version of the driver
--json   prints one JSON object instead (args, wheel)

Settings are environment variables, see docs/configuration.md.

Exit codes: 0 done, 1 wrong settings or a step that failed, 2 wrong usage, 127 no vLLM; run: those of vLLM,
128 + n when a signal ended it`;

const EXIT = { failed: 1, usage: 2, noProgram: 127 };
const COMMANDS = ['args', 'prepare', 'run', 'wheel'] as const;
type CommandName = (typeof COMMANDS)[number];

/** What the person who typed the command can put right. */
class UsageError extends Error {}

function report(level: 'info' | 'warn' | 'error', fields: Record<string, unknown>): void {
  const line = { ts: new Date().toISOString(), level, service: 'vllm-launcher', ...fields };
  process.stderr.write(`${JSON.stringify(line)}\n`);
}

function note(message: string): void {
  report('warn', { event: 'note', message });
}

function readArguments(): { name: CommandName | undefined; json: boolean } {
  try {
    const { values, positionals } = parseArgs({
      allowPositionals: true,
      options: { json: { type: 'boolean' }, help: { type: 'boolean', short: 'h' } },
    });
    if (values.help) return { name: undefined, json: false };
    const name = COMMANDS.find((command) => command === positionals[0]);
    if (name === undefined || positionals.length > 1)
      throw new Error(`name one of ${COMMANDS.join(', ')}`);
    const json = values.json ?? false;
    if (json && name !== 'args' && name !== 'wheel') throw new Error(`${name} has no --json`);
    return { name, json };
  } catch (error) {
    throw new UsageError(`${messageOf(error)}; see --help`);
  }
}

async function main(): Promise<number> {
  const { name, json } = readArguments();
  if (name === undefined) {
    process.stdout.write(`${HELP}\n`);
    return 0;
  }
  const config = parseEnv(LaunchEnv, process.env);
  switch (name) {
    case 'args':
      await printArgs(config, json);
      return 0;
    case 'wheel':
      printWheel(config, await probeGpu(runCommand, config.visibleDevices), json);
      return 0;
    case 'prepare':
      return await prepare(config, foreground());
    case 'run':
      return await run(config, foreground());
  }
}

function foreground(): Foreground {
  return new Foreground(process.env['VF_EXIT_WITH_PARENT'] === '1');
}

interface Decision {
  readonly probe: Probe;
  readonly profile: GpuProfile;
  readonly command: VllmCommand;
}

async function decide(config: LaunchConfig): Promise<Decision> {
  const probe = await probeGpu(runCommand, config.visibleDevices);
  const profile = gpuProfile(probe.gpu);
  for (const message of probe.notes) note(message);
  const { weightBytes } = readSnapshot(config.snapshotDir ?? config.modelDir);
  const command = vllmCommand(config, {
    profile,
    ...(probe.gpu === undefined ? {} : { gpu: probe.gpu }),
    ...(weightBytes === undefined ? {} : { weightBytes }),
  });
  for (const message of command.notes) note(message);
  return { probe, profile, command };
}

async function printArgs(config: LaunchConfig, json: boolean): Promise<void> {
  const { probe, profile, command } = await decide(config);
  const unset = command.unset.filter((name) => process.env[name] !== undefined);
  if (json) {
    const { gpu, cudaVersion } = probe;
    const env = { ...command.env, ...(config.hasApiKey ? { VLLM_API_KEY: '$VLLM_API_KEY' } : {}) };
    const notes = [...probe.notes, ...command.notes];
    print(JSON.stringify({ ...command, env, unset, notes, gpu, cudaVersion, profile }));
    return;
  }
  const set = Object.entries(command.env).map(([name, value]) => `${name}=${quoteWord(value)}`);
  const words = [command.command, ...command.args].map(quoteWord);
  print(
    [
      'env',
      ...unset.flatMap((name) => ['-u', name]),
      ...set,
      ...(config.hasApiKey ? ['VLLM_API_KEY="$VLLM_API_KEY"'] : []),
      ...words,
    ].join(' '),
  );
}

function printWheel(config: LaunchConfig, probe: Probe, json: boolean): void {
  const { cudaVersion } = probe;
  const wheel = torchWheel({
    ...(cudaVersion === undefined ? {} : { cudaVersion }),
    ...(config.torchBackend === undefined ? {} : { torchBackend: config.torchBackend }),
    ...(config.indexUrl === undefined ? {} : { indexUrl: config.indexUrl }),
  });
  const { command, notes: installNotes } = installation(wheel, {
    ...(config.wheelIndexUrl === undefined ? {} : { indexUrl: config.wheelIndexUrl }),
    ...(config.wheelUrl === undefined ? {} : { wheelUrl: config.wheelUrl }),
  });
  const notes = [...wheel.notes, ...installNotes];
  for (const message of notes) note(message);
  if (json) print(JSON.stringify({ ...wheel, notes, cudaVersion, command }));
  else print(command.map(quoteWord).join(' '));
}

async function prepare(config: LaunchConfig, programs: Foreground): Promise<number> {
  // Without what is for vLLM: the downloader needs the token only, which is in the environment already.
  const env = environment(config, ['VLLM_API_KEY', 'VOXTRAL_API_KEY']);
  try {
    await prepareModel(config, {
      download: (command) => programs.run(command, { env, quiet: true }),
      tell: (event, message) =>
        report(event === 'delay_skipped' ? 'warn' : 'info', { event, message }),
    });
  } catch (error) {
    // A download that was stopped on demand has not failed.
    if (programs.stopCode === undefined) throw error;
  }
  return programs.stopCode ?? 0;
}

async function run(config: LaunchConfig, programs: Foreground): Promise<number> {
  const stopped = await prepare(config, programs);
  if (stopped !== 0) return stopped;
  const { command, args, env, unset } = (await decide(config)).command;
  report('info', { event: 'starting', command, args });
  const ended = await programs.run([command, ...args], {
    env: { ...environment(config, unset), ...env },
  });
  if (ended.kind === 'ended') return ended.exitCode;
  report('error', {
    event: 'start_failed',
    message: `vLLM cannot be started (${ended.why}): install it (see \`vllm.ts wheel\`), or set VENV_DIR or VLLM_COMMAND`,
  });
  return EXIT.noProgram;
}

/** What a program is given: this environment without some variables, and the Python environment first in PATH. */
function environment(config: LaunchConfig, unset: readonly string[]): NodeJS.ProcessEnv {
  const env = { ...process.env };
  for (const name of unset) delete env[name];
  if (config.venvDir !== undefined)
    env['PATH'] = `${join(config.venvDir, 'bin')}${delimiter}${env['PATH'] ?? ''}`;
  return env;
}

function print(line: string): void {
  process.stdout.write(`${line}\n`);
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}

/** Tells what went wrong and gives the exit code. */
function fail(error: unknown): number {
  if (error instanceof UsageError) {
    process.stderr.write(`vllm: ${error.message}\n`);
    return EXIT.usage;
  }
  if (error instanceof ConfigError) {
    for (const fault of error.faults) report('error', { event: 'config_invalid', ...fault });
    return EXIT.failed;
  }
  report('error', { event: 'failed', message: messageOf(error) });
  return EXIT.failed;
}

// An exit of its own: a watched stdin would keep the process.
process.exit(await main().catch(fail));
