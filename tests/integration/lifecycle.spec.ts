import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { afterEach, describe, expect, it } from '@jest/globals';

const LIFECYCLE = new URL('../../packages/runtime/src/lifecycle.ts', import.meta.url).href;
const LOGGER = new URL('../../packages/telemetry/src/logger.ts', import.meta.url).href;
const ENV = new URL('../../packages/runtime/src/env.ts', import.meta.url).href;

interface Result {
  readonly code: number | null;
  readonly faults: readonly Record<string, unknown>[];
  readonly stdout: string;
}

interface Service {
  readonly child: ChildProcess;
  readonly ended: Promise<Result>;
  /** Settles when the service has written this word. */
  said(word: string): Promise<void>;
}

const children: ChildProcess[] = [];

/** A process that runs `runService` with the body of `start` given here; `say` writes a line to stdout. */
function service(body: string, env: Record<string, string> = {}): Service {
  const source = `
    import { writeSync } from 'node:fs';
    import { runService } from ${JSON.stringify(LIFECYCLE)};
    import { ConfigError } from ${JSON.stringify(ENV)};
    import { redactedLine } from ${JSON.stringify(LOGGER)};
    const say = (word) => writeSync(1, word + '\\n');
    const keep = setInterval(() => {}, 60_000);
    await runService({ name: 'tiny', env: process.env, redact: redactedLine }, async () => { ${body} });
    say('running');
  `;
  const child = spawn(
    process.execPath,
    ['--import', 'tsx', '--input-type=module', '--eval', source],
    { env: { PATH: process.env['PATH'], ...env }, stdio: ['pipe', 'pipe', 'pipe'] },
  );
  children.push(child);
  let stdout = '';
  let stderr = '';
  child.stdout.setEncoding('utf8').on('data', (text: string) => {
    stdout += text;
  });
  child.stderr.setEncoding('utf8').on('data', (text: string) => {
    stderr += text;
  });
  const ended = once(child, 'close').then(([code]): Result => {
    const lines = stderr.split('\n').filter((line) => line !== '');
    const faults = lines.map((line) => JSON.parse(line) as Record<string, unknown>);
    return { code: code as number | null, faults, stdout };
  });
  const said = async (word: string): Promise<void> => {
    while (!stdout.includes(`${word}\n`)) await once(child.stdout, 'data');
  };
  return { child, ended, said };
}

afterEach(() => {
  for (const child of children.splice(0)) child.kill('SIGKILL');
});

const CLOSES = `return { closeTimeoutMs: 5_000, close: async () => say('closed') };`;

describe('runService', () => {
  it.each(['SIGTERM', 'SIGINT'] as const)('closes on %s and exits with 0', async (signal) => {
    const { child, ended, said } = service(CLOSES);
    await said('running');
    child.kill(signal);
    expect(await ended).toEqual({ code: 0, faults: [], stdout: 'running\nclosed\n' });
  });

  it('quotes neither words nor keys in what it says of a fault', async () => {
    const { ended } = service(`
      throw new Error('no answer from redis://:hunter2@db');
    `);
    const { code, faults } = await ended;
    expect([code, faults.length]).toEqual([1, 1]);
    expect(JSON.stringify(faults)).not.toContain('hunter2');
    const running = service(`
      setTimeout(() => JSON.parse('card 4111111111111111'));
      ${CLOSES}
    `);
    const crashed = await running.ended;
    expect(crashed.faults).toMatchObject([{ event: 'uncaught_exception' }]);
    expect(JSON.stringify(crashed.faults)).not.toContain('4111');
  });

  it('closes once, however many signals come', async () => {
    const { child, ended, said } = service(`return {
      closeTimeoutMs: 5_000,
      close: async () => {
        const told = new Promise((go) => process.on('SIGUSR2', go));
        say('closing');
        await told;
      },
    };`);
    await said('running');
    child.kill('SIGTERM');
    await said('closing');
    child.kill('SIGTERM');
    child.kill('SIGINT');
    child.kill('SIGUSR2');
    expect(await ended).toEqual({ code: 0, faults: [], stdout: 'running\nclosing\n' });
  });

  it('ends although nobody reads its log any more', async () => {
    const { child, ended, said } = service(`
      const { createLogger } = await import(${JSON.stringify(LOGGER)});
      const log = createLogger('tiny', 'info');
      const close = async () => { log.info({ event: 'closing' }); log.info({ event: 'closed' }); };
      return { closeTimeoutMs: 5_000, close };
    `);
    await said('running');
    child.stdout?.destroy();
    child.kill('SIGTERM');
    expect(await ended).toMatchObject({ code: 0, faults: [] });
  });

  it('exits with 1 when closing takes longer than it may, and says so', async () => {
    const { child, ended, said } = service(
      'return { closeTimeoutMs: 50, close: () => new Promise(() => {}) };',
    );
    await said('running');
    child.kill('SIGTERM');
    const { code, faults } = await ended;
    expect(code).toBe(1);
    expect(faults).toMatchObject([
      { level: 'error', service: 'tiny', event: 'close_timed_out', cause: 'SIGTERM' },
    ]);
  });

  it('exits with 1 when closing fails, and says why', async () => {
    const { child, ended, said } = service(
      `return { closeTimeoutMs: 5_000, close: async () => { throw new Error('stuck'); } };`,
    );
    await said('running');
    child.kill('SIGTERM');
    const { code, faults } = await ended;
    expect(code).toBe(1);
    expect(faults).toMatchObject([{ event: 'close_failed', message: 'Error: stuck' }]);
  });

  it('exits with 1 when the start fails, with one line', async () => {
    const { code, faults, stdout } = await service(`throw new Error('no port');`).ended;
    expect([code, stdout]).toEqual([1, '']);
    expect(faults).toMatchObject([
      { ts: expect.any(String), level: 'error', event: 'start_failed', message: 'no port' },
    ]);
  });

  it('exits with 1 on a faulty configuration, with one line for each fault', async () => {
    const { code, faults } = await service(`throw new ConfigError([
      { variable: 'A', message: 'must be 1' }, { variable: 'B', message: 'must be 2' },
    ]);`).ended;
    expect(code).toBe(1);
    expect(faults).toMatchObject([
      { event: 'config_invalid', variable: 'A', message: 'must be 1' },
      { event: 'config_invalid', variable: 'B', message: 'must be 2' },
    ]);
  });

  it.each([
    ['uncaught_exception', `throw new Error('oops')`],
    ['unhandled_rejection', `void Promise.reject(new Error('oops'))`],
  ])('closes and exits with 1 on an %s, with its stack', async (event, fault) => {
    const { code, faults, stdout } = await service(`setImmediate(() => { ${fault}; }); ${CLOSES}`)
      .ended;
    expect(code).toBe(1);
    expect(stdout).toContain('closed\n');
    expect(faults).toMatchObject([
      { event, message: expect.stringMatching(/^Error: oops\n +at /) },
    ]);
  });

  it('closes when stdin ends, with VF_EXIT_WITH_PARENT=1', async () => {
    const { child, ended, said } = service(CLOSES, { VF_EXIT_WITH_PARENT: '1' });
    await said('running');
    child.stdin?.end();
    expect(await ended).toEqual({ code: 0, faults: [], stdout: 'running\nclosed\n' });
  });

  it('does not mind the end of stdin otherwise', async () => {
    const { child, ended, said } = service(
      `process.stdin.on('end', () => say('stdin ended')).resume(); ${CLOSES}`,
    );
    await said('running');
    child.stdin?.end();
    await said('stdin ended');
    child.kill('SIGTERM');
    expect((await ended).stdout).toBe('running\nstdin ended\nclosed\n');
  });
});
