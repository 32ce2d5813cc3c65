import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import {
  chmodSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { runCommand } from '@voice-fleet/asr-worker/gpu/run-command';

const REPO = fileURLToPath(new URL('../..', import.meta.url));
const CLI = ['--conditions=source', '--import', 'tsx', 'services/asr-worker/src/cli/vllm.ts'];
const SECRET = 'hunter2-hunter2';

let root = '';
let bin = '';
let modelDir = '';
const children: ChildProcess[] = [];

beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), 'voice-fleet-vllm-'));
  bin = join(root, 'bin');
  modelDir = join(root, 'model');
  mkdirSync(bin);
});
afterEach(() => {
  for (const child of children.splice(0)) child.kill('SIGKILL');
  for (const name of ['vllm', 'hf']) killStandIn(name);
  rmSync(root, { recursive: true, force: true });
});

/** What a launcher that failed its test may have left behind. */
function killStandIn(name: string): void {
  if (!wasCalled(name)) return;
  const { pid } = call(name);
  try {
    if (readFileSync(`/proc/${pid}/cmdline`, 'utf8').includes(root)) process.kill(pid, 'SIGKILL');
  } catch {
    // It has ended.
  }
}

/** A program on PATH that writes what it was called with to `<name>.json` and then does `body`. */
function program(name: string, body: string, folder = bin): void {
  const source = `#!${process.execPath}
const { writeFileSync, mkdirSync } = require('node:fs');
const args = process.argv.slice(2);
const { env, pid, ppid } = process;
writeFileSync(${JSON.stringify(join(root, name))} + '.json', JSON.stringify({ args, env, pid, ppid }));
${body}
`;
  mkdirSync(folder, { recursive: true });
  writeFileSync(join(folder, name), source);
  chmodSync(join(folder, name), 0o755);
}

interface Call {
  readonly args: string[];
  readonly env: Record<string, string>;
  readonly pid: number;
  readonly ppid: number;
}

function call(name: string): Call {
  return JSON.parse(readFileSync(join(root, `${name}.json`), 'utf8')) as Call;
}

function wasCalled(name: string): boolean {
  return existsSync(join(root, `${name}.json`));
}

/** An L40S with the driver of CUDA 12.8. */
function card(): void {
  const answer = `if (args.length === 0) console.log('CUDA Version: 12.8');
else console.log('0, GPU-aaaa, NVIDIA L40S, 46068, 8.9, [N/A]');`;
  program('nvidia-smi', answer);
}

function snapshot(folder = modelDir): void {
  mkdirSync(folder, { recursive: true });
  for (const name of ['params.json', 'tekken.json', 'consolidated.safetensors'])
    writeFileSync(join(folder, name), '{}');
}

/** A stand-in for a download that brings the three files. */
const BRINGS = `const to = args[args.indexOf('--local-dir') + 1];
mkdirSync(to, { recursive: true });
for (const name of ['params.json', 'tekken.json', 'consolidated.safetensors']) writeFileSync(to + '/' + name, '{}');
console.log('downloaded');`;

interface Launch {
  readonly child: ChildProcess;
  readonly ended: Promise<{ code: number | null; stdout: string; stderr: string }>;
  /** Settles when this is in what it wrote to stdout or stderr. */
  said(text: string): Promise<void>;
}

function launch(args: readonly string[], env: Record<string, string> = {}): Launch {
  const child = spawn(process.execPath, [...CLI, ...args], {
    cwd: REPO,
    env: { PATH: bin, VOXTRAL_MODEL_DIR: modelDir, ...env },
    stdio: ['pipe', 'pipe', 'pipe'],
  });
  children.push(child);
  let stdout = '';
  let stderr = '';
  let wake = (): void => {};
  child.stdout?.setEncoding('utf8').on('data', (text: string) => {
    stdout += text;
    wake();
  });
  child.stderr?.setEncoding('utf8').on('data', (text: string) => {
    stderr += text;
    wake();
  });
  let over = false;
  const ended = once(child, 'close').then(([code]) => {
    over = true;
    wake();
    return { code: code as number | null, stdout, stderr };
  });
  const said = async (text: string): Promise<void> => {
    while (!(stdout + stderr).includes(text)) {
      if (over) throw new Error(`ended without "${text}": ${stdout}${stderr}`);
      await new Promise<void>((resolve) => {
        wake = resolve;
      });
    }
  };
  return { child, ended, said };
}

function lines(stderr: string): Record<string, unknown>[] {
  const all = stderr.split('\n').filter((line) => line.startsWith('{'));
  return all.map((line) => JSON.parse(line) as Record<string, unknown>);
}

describe('vllm.ts args', () => {
  it('prints the command line for the card, and why on stderr', async () => {
    card();
    const { code, stdout, stderr } = await launch(['args']).ended;
    expect(code).toBe(0);
    expect(stdout).toBe(
      'env -u VOXTRAL_MODEL_DIR CUDA_DEVICE_ORDER=PCI_BUS_ID VLLM_DISABLE_COMPILE_CACHE=1 VLLM_ENGINE_ITERATION_TIMEOUT_S=3600 ' +
        `vllm serve ${modelDir} --served-model-name mistralai/Voxtral-Mini-4B-Realtime-2602 --host 127.0.0.1 --port 8300 ` +
        '--tokenizer-mode mistral --config-format mistral --load-format mistral --dtype auto --kv-cache-dtype auto ' +
        '--gpu-memory-utilization 0.92 --max-model-len 1024 --max-num-seqs 293 --max-num-batched-tokens 2048 ' +
        `--compilation_config '{"cudagraph_mode":"PIECEWISE"}'\n`,
    );
    const notes = lines(stderr);
    expect(notes).toEqual([
      expect.objectContaining({
        level: 'warn',
        event: 'note',
        message: expect.stringMatching(/fp8/),
      }),
    ]);
  });

  it('prints a line that a shell runs as it would be run', async () => {
    card();
    snapshot();
    program('vllm', '');
    const env = {
      VLLM_API_KEY: SECRET,
      VLLM_PORT: '9001',
      VLLM_EXTRA_ARGS: `--chat-template 'b  "c"'`,
    };
    const { stdout } = await launch(['args'], env).ended;
    spawnSync('/bin/sh', ['-c', stdout], {
      env: { PATH: `${bin}:/usr/bin:/bin`, VOXTRAL_MODEL_DIR: modelDir, ...env },
    });
    const byHand = call('vllm');
    await launch(['run'], env).ended;
    const byRun = call('vllm');
    expect(byRun.args).toEqual(byHand.args);
    expect(byRun.args.slice(-2)).toEqual(['--chat-template', 'b  "c"']);
    const own = ({ env: seen }: Call) =>
      Object.entries(seen)
        .filter(([name]) => /^(VLLM|CUDA|VOXTRAL)_/.test(name))
        .sort();
    expect(own(byRun)).toEqual(own(byHand));
  });

  it('prints one JSON object, with secrets by name only', async () => {
    card();
    const env = { VLLM_API_KEY: SECRET, HF_TOKEN: SECRET, VLLM_PORT: '9001' };
    const { stdout, stderr } = await launch(['args', '--json'], env).ended;
    expect(stdout + stderr).not.toContain(SECRET);
    expect(JSON.parse(stdout)).toMatchObject({
      command: 'vllm',
      args: expect.arrayContaining(['--port', '9001', '--max-num-seqs', '293']),
      env: { VLLM_API_KEY: '$VLLM_API_KEY', VLLM_ENGINE_ITERATION_TIMEOUT_S: '3600' },
      unset: ['VOXTRAL_MODEL_DIR', 'HF_TOKEN', 'VLLM_PORT'],
      notes: [expect.stringContaining('fp8')],
      gpu: { name: 'NVIDIA L40S', memoryMib: 46_068, computeCapability: 8.9 },
      cudaVersion: '12.8',
      profile: { maxBatchedTokens: 2048, planningSlots: 32 },
    });
  });

  it('shows the key as a variable', async () => {
    const { stdout, stderr } = await launch(['args'], { VLLM_API_KEY: SECRET }).ended;
    expect(stdout).toContain(' VLLM_API_KEY="$VLLM_API_KEY" vllm serve ');
    expect(stdout + stderr).not.toContain(SECRET);
  });

  it('works without a card', async () => {
    const { code, stdout, stderr } = await launch(['args']).ended;
    expect(code).toBe(0);
    expect(stdout).toContain('--max-num-seqs 128 --max-num-batched-tokens 2048');
    const message = expect.stringContaining('no card is known');
    expect(lines(stderr)).toEqual([expect.objectContaining({ event: 'note', message })]);
  });

  it('prints every fault of the environment as one JSON line and exits with 1', async () => {
    const wrong = {
      VOXTRAL_TRANSCRIPTION_DELAY_MS: '100',
      VLLM_COMMAND: `'vllm`,
      VLLM_EXTRA_ARGS: '--kv-cache-dtype fp8',
      VLLM_PORT: 'tcp://10.0.0.1:8300',
    };
    const { code, stdout, stderr } = await launch(['args'], wrong).ended;
    expect([code, stdout]).toEqual([1, '']);
    const faults = lines(stderr);
    expect(faults.map((fault) => fault['variable']).sort()).toEqual(Object.keys(wrong).sort());
    for (const fault of faults) {
      expect(fault).toEqual({
        ts: expect.stringMatching(/^\d{4}-\d\d-\d\dT/),
        level: 'error',
        service: 'vllm-launcher',
        event: 'config_invalid',
        variable: expect.any(String),
        message: expect.stringMatching(/^must /),
      });
    }
  });
});

describe('vllm.ts', () => {
  it('explains itself', async () => {
    const { code, stdout } = await launch(['--help']).ended;
    expect(code).toBe(0);
    for (const word of ['args', 'prepare', 'run', 'wheel', '127']) expect(stdout).toContain(word);
  });

  it.each([[[]], [['serve']], [['run', '--json']]])('exits with 2 on %j', async (args) => {
    const { code, stdout, stderr } = await launch(args).ended;
    expect([code, stdout]).toEqual([2, '']);
    expect(stderr).toMatch(/^vllm: .*see --help\n$/);
  });

  it('Y48: prints the command that installs vLLM for the driver', async () => {
    card();
    const { code, stdout } = await launch(['wheel']).ended;
    expect(code).toBe(0);
    expect(stdout).toMatch(/^uv pip install --torch-backend cu128 vllm==\d+\.\d+\.\d+ /);
  });

  it('tells with the command that the usual vLLM is not for CUDA 12, until an index for it is named', async () => {
    card();
    const without = await launch(['wheel', '--json']).ended;
    const message = expect.stringMatching(/CUDA 13 .*VLLM_WHEEL_INDEX_URL/);
    expect(lines(without.stderr)).toEqual([expect.objectContaining({ level: 'warn', message })]);
    expect(JSON.parse(without.stdout)).toMatchObject({ torchBackend: 'cu128', notes: [message] });
    const env = { VLLM_WHEEL_INDEX_URL: 'https://mirror.example/vllm' };
    const named = await launch(['wheel', '--json'], env).ended;
    expect([named.code, named.stderr]).toEqual([0, '']);
    const command = expect.arrayContaining(['--extra-index-url', env.VLLM_WHEEL_INDEX_URL]);
    expect(JSON.parse(named.stdout)).toMatchObject({ command, notes: [] });
  });

  it('is asked for the line that makes a venv, which ends with its notes', () => {
    card();
    const source = `import { howToMakeVenv } from './scripts/lib/gpu-host/tools.mjs';
console.log(await howToMakeVenv({ venvDir: '/venv' }));`;
    const env = { PATH: bin };
    const args = ['--input-type=module', '--eval', source];
    const { stdout } = spawnSync(process.execPath, args, { cwd: REPO, env, encoding: 'utf8' });
    expect(stdout).toMatch(
      /^python3 -m venv \/venv && .* --torch-backend cu128 vllm==\S+ 'mistral-common\S+' {3}# vLLM .*VLLM_WHEEL_INDEX_URL.*\n$/,
    );
  });
});

describe('vllm.ts prepare', () => {
  it('Y44: downloads nothing where the model is there; Y43: sets the delay once', async () => {
    snapshot();
    program('hf', '');
    const env = { VOXTRAL_TRANSCRIPTION_DELAY_MS: '960' };
    const first = await launch(['prepare'], env).ended;
    expect([first.code, wasCalled('hf')]).toEqual([0, false]);
    const file = join(modelDir, 'tekken.json');
    expect(JSON.parse(readFileSync(file, 'utf8'))).toEqual({ transcription_delay_ms: 960 });
    expect(lines(first.stderr)).toMatchObject([{ event: 'delay_written' }]);
    const second = await launch(['prepare'], env).ended;
    expect([second.code, second.stderr]).toEqual([0, '']);
  });

  it('downloads the model with the token in the environment, and never shows the token', async () => {
    program('hf', BRINGS);
    const env = { HF_TOKEN: SECRET, VOXTRAL_API_KEY: SECRET, VLLM_API_KEY: SECRET };
    const { code, stdout, stderr } = await launch(['prepare'], env).ended;
    expect([code, stdout]).toEqual([0, '']);
    expect(stderr).toContain('downloaded');
    expect(stdout + stderr).not.toContain(SECRET);
    const hf = call('hf');
    expect(hf.args.slice(0, 2)).toEqual(['download', 'mistralai/Voxtral-Mini-4B-Realtime-2602']);
    expect(hf.args.join(' ')).not.toContain(SECRET);
    expect(hf.env['HF_TOKEN']).toBe(SECRET);
    expect(hf.env['VLLM_API_KEY'] ?? hf.env['VOXTRAL_API_KEY']).toBeUndefined();
  });

  it('exits with 1 where there is nothing to download with', async () => {
    const { code, stderr } = await launch(['prepare']).ended;
    expect(code).toBe(1);
    expect(lines(stderr).at(-1)).toMatchObject({
      level: 'error',
      message: expect.stringContaining('huggingface_hub'),
    });
  });
});

describe('vllm.ts run', () => {
  const SERVES = `console.log('serving'); setInterval(() => {}, 60_000);`;

  it.each([0, 7])('returns exit code %i of vLLM, whose output it leaves alone', async (code) => {
    snapshot();
    program('vllm', `console.log('serving'); console.error('warm'); process.exitCode = ${code};`);
    const ended = await launch(['run']).ended;
    expect(ended.code).toBe(code);
    expect(ended.stdout).toBe('serving\n');
    expect(ended.stderr).toContain('warm\n');
    expect(JSON.parse(readFileSync(join(modelDir, 'tekken.json'), 'utf8'))).toEqual({
      transcription_delay_ms: 400,
    });
  });

  it('gives vLLM its settings and its key, and nothing that is not for it', async () => {
    snapshot();
    program('vllm', '');
    const env = {
      HF_TOKEN: SECRET,
      VOXTRAL_API_KEY: SECRET,
      VLLM_API_KEY: 'own',
      VLLM_PORT: '9001',
    };
    const meant = { VLLM_LOGGING_LEVEL: 'DEBUG', HF_HUB_OFFLINE: '1' };
    await launch(['run'], { ...env, ...meant, CUDA_VISIBLE_DEVICES: '' }).ended;
    const { args, env: seen } = call('vllm');
    expect(args).toEqual(expect.arrayContaining(['serve', modelDir, '--port', '9001']));
    expect(seen).toMatchObject({
      ...meant,
      VLLM_API_KEY: 'own',
      VLLM_ENGINE_ITERATION_TIMEOUT_S: '3600',
    });
    expect(Object.keys(seen)).not.toEqual(
      expect.arrayContaining([expect.stringMatching(/^(VLLM_PORT|CUDA_VISIBLE_DEVICES)$/)]),
    );
    expect(JSON.stringify(seen)).not.toContain(SECRET);
  });

  it('takes vLLM from VENV_DIR', async () => {
    snapshot();
    program('vllm', `process.exitCode = 9;`);
    program('vllm', `process.exitCode = 5;`, join(root, 'venv/bin'));
    const { code } = await launch(['run'], { VENV_DIR: join(root, 'venv') }).ended;
    expect(code).toBe(5);
  });

  it('exits with 127 where there is no vLLM, and says what to do', async () => {
    snapshot();
    const { code, stderr } = await launch(['run']).ended;
    expect(code).toBe(127);
    expect(lines(stderr).at(-1)).toMatchObject({
      event: 'start_failed',
      message: expect.stringContaining('VENV_DIR'),
    });
  });

  it.each(['SIGTERM', 'SIGINT', 'SIGHUP'] as const)(
    'hands %s to vLLM once and waits for its end',
    async (signal) => {
      snapshot();
      program(
        'vllm',
        `let times = 0;
process.on('${signal}', () => {
  times += 1;
  console.log('closing');
  setTimeout(() => { console.log('closed after ' + times); process.exit(3); }, 100);
});
${SERVES}`,
      );
      const { child, ended, said } = launch(['run']);
      await said('serving');
      child.kill(signal);
      const { code, stdout } = await ended;
      expect([code, stdout]).toEqual([3, 'serving\nclosing\nclosed after 1\n']);
    },
  );

  it('ends with the signal that ended vLLM, and leaves no process behind', async () => {
    snapshot();
    program('vllm', SERVES);
    const { child, ended, said } = launch(['run']);
    await said('serving');
    const { pid, ppid } = call('vllm');
    expect(ppid).toBe(child.pid);
    child.kill('SIGTERM');
    expect((await ended).code).toBe(143);
    expect(existsSync(`/proc/${pid}`)).toBe(false);
  });

  it('stops a download on SIGTERM and starts no vLLM then', async () => {
    program('hf', `console.log('loading'); setInterval(() => {}, 60_000);`);
    program('vllm', '');
    const { child, ended, said } = launch(['run']);
    await said('loading');
    child.kill('SIGTERM');
    const { code, stderr } = await ended;
    expect([code, wasCalled('vllm')]).toEqual([143, false]);
    expect(existsSync(`/proc/${call('hf').pid}`)).toBe(false);
    expect(lines(stderr).filter(({ level }) => level === 'error')).toEqual([]);
  });

  it('takes the end of stdin for SIGTERM with VF_EXIT_WITH_PARENT=1', async () => {
    snapshot();
    program('vllm', SERVES);
    const { child, ended, said } = launch(['run'], { VF_EXIT_WITH_PARENT: '1' });
    await said('serving');
    child.stdin?.end();
    expect((await ended).code).toBe(143);
  });
});

describe('a program that is asked', () => {
  it('answers with its stdout', async () => {
    program('ask', `console.log('yes'); console.error('no');`);
    expect(await runCommand(join(bin, 'ask'), [], 10_000)).toBe('yes\n');
  });

  it('is killed when its time is up', async () => {
    const script = `trap '' TERM; echo $$ > ${join(root, 'pid')}; exec sleep 60`;
    expect(await runCommand('/bin/sh', ['-c', script], 500)).toBeUndefined();
    const pid = readFileSync(join(root, 'pid'), 'utf8').trim();
    expect(existsSync(`/proc/${pid}`)).toBe(false);
  });

  it('has not answered where it fails or is not there', async () => {
    program('ask', `console.log('yes'); process.exitCode = 1;`);
    expect(await runCommand(join(bin, 'ask'), [], 10_000)).toBeUndefined();
    expect(await runCommand(join(bin, 'none'), [], 10_000)).toBeUndefined();
  });
});
