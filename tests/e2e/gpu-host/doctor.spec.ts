import { spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { endCommands } from '../command.ts';
import { Host } from './host.ts';

interface Check {
  readonly name: string;
  readonly result: 'ok' | 'fault' | 'skipped';
  readonly found: string;
  readonly code?: number;
  readonly next?: string;
}
interface Report {
  readonly ok: boolean;
  readonly code: number;
  readonly checks: readonly Check[];
}

const PROBE = {
  python: '3.12.1',
  vllm: '0.22.0',
  torch: '2.10.0+cu128',
  cuda: '12.8',
  usable: true,
  nvrtc: '/venv/libnvrtc.so.12',
};
const probe = (changed: Partial<Record<keyof typeof PROBE | 'error', unknown>> = {}) => ({
  STAND_IN_PROBE: JSON.stringify({ ...PROBE, ...changed }),
});

let host: Host;
beforeEach(async () => {
  host = await Host.make('stand-ins');
});
afterEach(async () => {
  await endCommands();
  host.destroy();
});

describe('npm run gpu -- doctor', () => {
  it('Y49: finds nothing wrong with a whole host', async () => {
    const { code, stdout, stderr } = await host.run(['doctor'], probe());
    expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
    expect(stdout).toMatch(/^check +result +found\nvenv +ok +.*Python 3\.12\.1\n/);
    expect(stdout).toMatch(/GPU +ok +NVIDIA L40S, 46068 MiB\n/);
    expect(stdout).not.toMatch(/fault|skipped|What to do/);
  });

  it.each<[number, string, () => NodeJS.ProcessEnv | undefined]>([
    [1, 'venv', () => ({ VENV_DIR: join(host.root, 'nothing') })],
    [2, 'nvidia-smi', () => host.remove('bin/nvidia-smi')],
    [3, 'CUDA torch', () => probe({ cuda: null, usable: false })],
    [4, 'CUDA 12', () => probe({ cuda: '11.8' })],
    [5, 'NVRTC', () => probe({ nvrtc: null })],
    [6, 'GPU', () => host.program('bin/nvidia-smi', '#!/bin/sh\necho no driver; exit 9\n')],
    [7, 'torch', () => probe({ torch: null, error: 'No module named torch' })],
    [8, 'torch sees GPU', () => probe({ usable: false })],
    [9, 'vLLM', () => probe({ vllm: '0.19.1' })],
    [9, 'vLLM', () => host.remove('.venv/bin/vllm')],
    [10, 'API key', () => ({ VOXTRAL_API_KEY: '' })],
    [11, 'npm packages', () => host.remove('node_modules')],
    [12, 'Redis', () => host.remove('bin/redis-server')],
  ])('Y49: exits with %d for the fault in "%s", and says what to do', async (code, name, spoil) => {
    const env = { ...probe(), ...spoil() };
    const done = await host.run(['doctor', '--json'], env);
    const report = JSON.parse(done.stdout) as Report;
    expect({ exit: done.code, code: report.code, ok: report.ok }).toEqual({
      exit: code,
      code,
      ok: false,
    });
    const faults = report.checks.filter(({ result }) => result === 'fault');
    expect(faults.map((fault) => [fault.name, fault.code])).toEqual([[name, code]]);
    expect(faults[0]?.next).toMatch(/\w+ \w+/);
    expect(report.checks).toHaveLength(13);
  });

  it('exits with 13 for a taken port, and with the first fault where there are several', async () => {
    const other = createServer().listen(Number(host.env['WORKER_PORT']), '127.0.0.1').unref();
    await once(other, 'listening');
    const alone = await host.run(['doctor'], probe());
    expect(alone.code).toBe(13);
    expect(alone.stdout).toContain(`taken: WORKER_PORT ${host.env['WORKER_PORT']}`);
    expect(alone.stdout).toMatch(/What to do next:\n +ports \(exit code 13\): \w+ /);
    const several = await host.run(['doctor'], { ...probe({ cuda: null }), VOXTRAL_API_KEY: '' });
    expect(several.code).toBe(3);
    expect(several.stdout).toMatch(/CUDA 12 +skipped +needs CUDA torch\n/);
    expect(several.stdout.match(/\(exit code \d+\)/g)).toEqual(
      [3, 10, 13].map((n) => `(exit code ${n})`),
    );
    other.close();
  });

  it('does not ask for a GPU where vLLM runs elsewhere', async () => {
    const env = { VENV_DIR: join(host.root, 'nothing'), VLLM_BASE_URL: 'http://127.0.0.1:1' };
    expect((await host.run(['doctor'], env)).code).toBe(0);
  });

  it('survives a python and an nvidia-smi that print nonsense', async () => {
    host.program('bin/nvidia-smi', '#!/bin/sh\necho\n');
    const { code, stdout } = await host.run(['doctor'], { STAND_IN_PROBE: '{"half' });
    expect(code).toBe(6);
    expect(stdout).toMatch(/torch +fault +the probe printed no result\n/);
  });

  const python = spawnSync('python3', ['--version']).status === 0 ? it : it.skip;
  python('reads torch, CUDA, NVRTC and vLLM through the Python of the venv', async () => {
    const site = join(host.root, 'site');
    host.write(
      'site/torch/__init__.py',
      `class version:\n    cuda = "12.8"\n__version__ = "2.10.0+cu128"\nclass cuda:\n    is_available = staticmethod(lambda: True)\nprint("torch says hello")\n`,
    );
    host.write(
      'site/vllm-0.22.0.dist-info/METADATA',
      'Metadata-Version: 2.1\nName: vllm\nVersion: 0.22.0\n',
    );
    const library = host.write('site/nvidia/cuda_nvrtc/lib/libnvrtc.so.12', '');
    host.program(
      '.venv/bin/python',
      `#!/bin/sh\nPATH='${process.env['PATH']}' PYTHONPATH='${site}' exec python3 "$@"\n`,
    );
    const whole = await host.run(['doctor', '--json']);
    const { checks } = JSON.parse(whole.stdout) as Report;
    expect(whole.code).toBe(0);
    expect(checks.find(({ name }) => name === 'NVRTC')?.found).toBe(library);
    expect(checks.find(({ name }) => name === 'vLLM')?.found).toBe('0.22.0');

    host.remove('site/nvidia/cuda_nvrtc/lib/libnvrtc.so.12');
    expect((await host.run(['doctor'])).code).toBe(5);
    host.write(
      'site/torch/__init__.py',
      'raise OSError("libcudart.so.12: cannot open shared object file")',
    );
    const broken = await host.run(['doctor']);
    expect(broken.code).toBe(7);
    expect(broken.stdout).toMatch(/torch +fault +libcudart\.so\.12: cannot open/);
  });
});
