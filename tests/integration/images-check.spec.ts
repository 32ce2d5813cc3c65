import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync, symlinkSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from '@jest/globals';
import { skips } from '../../scripts/lib/images/parts.mjs';
import { REPO } from '../support/docker-files.ts';

const CAN = {
  platform: 'linux',
  root: true,
  has: () => true,
  pull: false,
  cannotMakeBase: () => undefined,
};
const NAMES = ['gateway', 'clients'];
const BUILD_MS = 45 * 60_000;

const folder = mkdtempSync(join(tmpdir(), 'voice-fleet-path-'));
afterAll(() => rmSync(folder, { recursive: true }));

function check(args: readonly string[], env: NodeJS.ProcessEnv) {
  const script = join(REPO, 'scripts/check-images.mjs');
  const { stdout, stderr, status } = spawnSync(process.execPath, [script, ...args], {
    encoding: 'utf8',
    env,
  });
  return { stdout, stderr, status };
}

describe('npm run check:images', () => {
  it.each([
    ['images are of Linux', { ...CAN, platform: 'darwin' }],
    ['buildah is not there', { ...CAN, has: (program: string) => program !== 'buildah' }],
    ['only root may mount', { ...CAN, root: false }],
    ['mmdebstrap is not there', { ...CAN, cannotMakeBase: () => 'mmdebstrap is not there' }],
  ])('skips every image with a reason: %s', (reason, machine) => {
    expect(skips(NAMES, machine)).toEqual({
      gateway: expect.stringContaining(reason),
      clients: expect.stringContaining(reason),
    });
  });

  it('skips none where all is there, and vLLM alone for want of a base', () => {
    expect(skips(NAMES, CAN)).toEqual({});
    expect(skips([...NAMES, 'vllm'], CAN)).toEqual({
      vllm: expect.stringContaining('nvidia/cuda'),
    });
    expect(skips(['vllm'], { ...CAN, pull: true })).toEqual({});
  });

  it('tells what it skips, never counts it as passed, and fails for it only when asked to', () => {
    symlinkSync(process.execPath, join(folder, 'node'));
    const done = check(['--json'], { PATH: folder });
    expect(done.status).toBe(0);
    expect(done.stderr).toContain('skipped: gateway: buildah is not there');
    expect(done.stderr).toContain('0 passed, 4 skipped, 0 failed');
    expect(JSON.parse(done.stdout)).toMatchObject({ passed: 0, skipped: 4, failed: 0 });
    expect(check(['--strict', '--service', 'gateway'], { PATH: folder }).status).toBe(1);
  });

  it('refuses an image that there is not', () => {
    const done = check(['--service', 'redis'], { PATH: folder });
    expect([done.status, done.stderr]).toEqual([2, expect.stringContaining('no image redis')]);
  });
});

const real = process.env['VF_IMAGES'] === '1';

if (!real)
  process.stderr.write(
    'skipped: images are built with VF_IMAGES=1 only, by npm run check:images\n',
  );

(real ? it : it.skip)(
  'images are built, run read-only without a shell, and hear words together',
  () => {
    const done = check(['--json', '--strict'], process.env);
    expect([done.status, done.stderr]).toEqual([0, expect.stringContaining('4 passed')]);
  },
  BUILD_MS,
);
