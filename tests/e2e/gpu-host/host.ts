import {
  chmodSync,
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { delimiter, dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { freePort } from '@voice-fleet/testkit/ports';
import { type Command, startCommand } from '../command.ts';

const REPO = fileURLToPath(new URL('../../..', import.meta.url)).replace(/\/$/, '');
const STAND_IN = fileURLToPath(new URL('stand-in.ts', import.meta.url));

export const API_KEY = 'key-of-the-host-"q"+/42';

/** Variables that a developer's shell may have set; empty is unset. */
const UNSET = [
  'ASR_ENGINE',
  'FULL_CLEANUP',
  'HEALTH_URL',
  'LOG_MAX_MB',
  'NUKE',
  'PYTORCH_CUDA_INDEX_URL',
  'VLLM_WHEEL_INDEX_URL',
  'RUN_VLLM',
  'SERVER_BIND_HOST',
  'SERVER_LOG_FILE',
  'SERVER_PID_FILE',
  'STOP_TIMEOUT_S',
  'TORCH_BACKEND',
  'VLLM_BASE_URL',
  'VLLM_COMMAND',
  'VLLM_HOST',
  'VLLM_WHEEL_URL',
];

export interface Done {
  readonly code: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

/**
 * A GPU host in a temporary folder: own ports, own PATH with stand-ins for nvidia-smi, python and vllm. With stand-in
 * servers it is also a checkout of its own, so that what is deleted by default lies in it.
 */
export class Host {
  readonly root: string;
  readonly runDir: string;
  readonly venvDir: string;
  readonly modelDir: string;
  readonly bin: string;
  readonly env: NodeJS.ProcessEnv;
  readonly #script: string;

  private constructor(root: string, script: string, ports: NodeJS.ProcessEnv) {
    this.root = root;
    this.#script = script;
    this.runDir = join(root, '.run');
    this.venvDir = join(root, '.venv');
    this.modelDir = join(root, 'models/voxtral');
    this.bin = join(root, 'bin');
    this.env = {
      ...Object.fromEntries(UNSET.map((name) => [name, ''])),
      ...ports,
      SERVER_BIND_HOST: '127.0.0.1',
      VOXTRAL_API_KEY: API_KEY,
      HEALTH_TIMEOUT_S: '60',
      TAIL_LOGS: '0',
      PATH: this.bin,
      HOME: join(root, 'home'),
    };
  }

  /** One with the real servers in the real checkout, or with stand-ins in a checkout of its own. */
  static async make(servers: 'real' | 'stand-ins'): Promise<Host> {
    const root = mkdtempSync(join(tmpdir(), 'vf-gpu-host-'));
    const script = join(servers === 'real' ? REPO : root, 'scripts/gpu-host.mjs');
    const names = ['SERVER', 'GATEWAY_INTERNAL', 'WORKER', 'WORKER_INTERNAL', 'VLLM', 'REDIS'];
    const ports: NodeJS.ProcessEnv = {};
    for (const name of names) ports[`${name}_PORT`] = String(await freePort());
    const host = new Host(root, script, ports);
    for (const folder of ['home', 'bin', '.venv/bin']) {
      mkdirSync(join(root, folder), { recursive: true });
    }
    host.#makePrograms();
    if (servers === 'stand-ins') host.#makeCheckout();
    else {
      Object.assign(host.env, {
        VF_RUN_DIR: host.runDir,
        VENV_DIR: host.venvDir,
        VOXTRAL_MODEL_DIR: host.modelDir,
        // The client looks for more programs.
        PATH: [host.bin, process.env['PATH']].join(delimiter),
        HOME: process.env['HOME'],
      });
    }
    return host;
  }

  start(args: readonly string[], env: NodeJS.ProcessEnv = {}): Command {
    return startCommand([this.#script, ...args], { ...this.env, ...env });
  }

  async run(args: readonly string[], env: NodeJS.ProcessEnv = {}): Promise<Done> {
    const command = this.start(args, env);
    const code = await command.closed;
    return { code, stdout: command.stdout, stderr: command.stderr };
  }

  async status(): Promise<Record<string, unknown> & { children: Child[] }> {
    const { stdout } = await this.run(['status', '--json']);
    return JSON.parse(stdout) as Record<string, unknown> & { children: Child[] };
  }

  log(): string {
    return readFileSync(join(this.runDir, 'server.log'), 'utf8');
  }

  exists(path: string): boolean {
    return existsSync(join(this.root, path));
  }

  write(path: string, text: string): string {
    const full = join(this.root, path);
    mkdirSync(dirname(full), { recursive: true });
    writeFileSync(full, text);
    return full;
  }

  program(path: string, text: string): undefined {
    chmodSync(this.write(path, text), 0o755);
  }

  /** Removes a file or a link, not what it points to. */
  remove(path: string): undefined {
    rmSync(join(this.root, path));
  }

  /** Every living process of this host, however it came about: by its environment, words or folder. */
  processes(): number[] {
    return readdirSync('/proc')
      .filter((name) => /^\d+$/.test(name))
      .map(Number)
      .filter((pid) => {
        try {
          if (/\) [ZX] /.test(readFileSync(`/proc/${pid}/stat`, 'utf8'))) return false;
          const facts = [
            readFileSync(`/proc/${pid}/environ`, 'utf8'),
            readFileSync(`/proc/${pid}/cmdline`, 'utf8'),
            readlinkSync(`/proc/${pid}/cwd`),
          ];
          return facts.some((fact) => fact.includes(this.root));
        } catch {
          return false;
        }
      });
  }

  /** Kills what a failed test has left. */
  destroy(): void {
    for (let pids = this.processes(); pids.length > 0; pids = this.processes()) {
      for (const pid of pids) process.kill(pid, 'SIGKILL');
    }
    rmSync(this.root, { recursive: true });
  }

  #makePrograms(): void {
    for (const name of ['redis-server', 'valkey-server']) {
      const path = (process.env['PATH'] ?? '')
        .split(delimiter)
        .map((folder) => join(folder, name))
        .find((candidate) => existsSync(candidate));
      if (path) symlinkSync(path, join(this.bin, name));
    }
    this.program('bin/nvidia-smi', `#!/bin/sh\necho 'NVIDIA L40S, 46068 MiB'\n`);
    this.write('.venv/pyvenv.cfg', 'home = /usr/bin\n');
    this.program('.venv/bin/python', `#!/bin/sh\necho "$STAND_IN_PROBE"\n`);
    this.program('.venv/bin/vllm', `#!${process.execPath}\n${VLLM}`);
    this.write('models/voxtral/params.json', '{}');
    this.write('models/voxtral/tekken.json', '{"config":{},"audio":{}}');
    this.write('models/voxtral/consolidated.safetensors', 'weights');
  }

  #makeCheckout(): void {
    cpSync(join(REPO, 'scripts'), join(this.root, 'scripts'), { recursive: true });
    for (const name of ['node_modules', 'packages', 'package.json', 'package-lock.json']) {
      symlinkSync(join(REPO, name), join(this.root, name));
    }
    const files = {
      gateway: 'services/gateway/src/main.ts',
      'asr-worker': 'services/asr-worker/src/main.ts',
      vllm: 'services/asr-worker/src/cli/vllm.ts',
    };
    for (const [name, file] of Object.entries(files)) {
      this.write(file, `import { standIn } from '${STAND_IN}';\nawait standIn('${name}');\n`);
    }
  }
}

interface Child {
  readonly name: string;
  readonly pid: number;
  readonly ready: boolean;
  readonly restarts: number;
}

/** `vllm serve … --port N`, for the real launcher. */
const VLLM = `
const { createServer } = require('node:http');
const port = Number(process.argv[process.argv.indexOf('--port') + 1]);
createServer((_, response) => response.end('{}')).listen(port, '127.0.0.1');
console.log('stand-in vllm serves ' + process.argv.slice(2).join(' '));
process.on('SIGTERM', () => process.exit(0));
`;
