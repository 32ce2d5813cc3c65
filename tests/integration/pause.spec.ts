import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { describe, expect, it } from '@jest/globals';
import { REPO } from '../support/docker-files.ts';

const PAUSE = join(REPO, 'docker/pause.mjs');

describe('the pause before a gateway is told to stop', () => {
  it('ends well when its time is over', () => {
    const startMs = performance.now();
    const { status, stderr } = spawnSync(process.execPath, [PAUSE, '0.2'], { encoding: 'utf8' });
    expect([status, stderr]).toEqual([0, '']);
    expect(performance.now() - startMs).toBeGreaterThanOrEqual(200);
  });

  it('is over at once when it is none', () => {
    expect(spawnSync(process.execPath, [PAUSE, '0']).status).toBe(0);
  });

  it('can be ended by the one who waits for it', async () => {
    const child = spawn(process.execPath, [PAUSE, '600']);
    child.kill('SIGTERM');
    const [, signal] = (await once(child, 'exit')) as [number | null, string | null];
    expect(signal).toBe('SIGTERM');
  });

  it.each([[], [''], ['5s'], ['-1'], ['1e3'], ['0x10'], ['86401'], ['5', '6']])(
    'says how it is used when it is given %j',
    (...given) => {
      const { status, stderr } = spawnSync(process.execPath, [PAUSE, ...given], {
        encoding: 'utf8',
      });
      expect(status).toBe(2);
      expect(stderr).toBe('usage: node pause.mjs SECONDS, from 0 to 86400\n');
    },
  );
});
