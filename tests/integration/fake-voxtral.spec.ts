import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { writeWav } from '@voice-fleet/speech/wav';
import { range, speak, transcript } from '@voice-fleet/testkit/coded-speech';
import {
  FAKE_VOXTRAL,
  FakeModelDir,
  type FakeVoxtralOptions,
  fakeVoxtralEnv,
} from '@voice-fleet/testkit/fake-voxtral/fake-voxtral';

interface Run {
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
  readonly stdout: Buffer;
  readonly stderr: string;
}

let model: FakeModelDir;

beforeAll(async () => {
  model = await FakeModelDir.create();
});

afterAll(async () => {
  await model[Symbol.asyncDispose]();
});

function start(options: FakeVoxtralOptions, args: readonly string[] = []): ChildProcess {
  const all = args.length > 0 ? args : ['-d', model.path, '--stdin', '-I', '0.5', '--silent'];
  const child = spawn(FAKE_VOXTRAL, all, { env: fakeVoxtralEnv(options) });
  child.stdin.on('error', () => {});
  return child;
}

async function run(
  input: Buffer,
  options: FakeVoxtralOptions = {},
  args: readonly string[] = [],
): Promise<Run> {
  const child = start(options, args);
  const stdout: Buffer[] = [];
  let stderr = '';
  child.stdout?.on('data', (bytes: Buffer) => stdout.push(bytes));
  child.stderr?.on('data', (bytes: Buffer) => {
    stderr += bytes;
  });
  child.stdin?.end(input);
  const [code, signal] = (await once(child, 'close')) as [number | null, NodeJS.Signals | null];
  return { code, signal, stdout: Buffer.concat(stdout), stderr };
}

const TWENTY = range(1, 20);

describe('the stand-in for voxtral.c', () => {
  it('V6: normal: prints all words in one line and nothing else', async () => {
    const { code, stdout, stderr } = await run(speak(TWENTY));
    expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
    expect(stdout.toString()).toBe(`${transcript(TWENTY)}\n`);
  });

  it('V6: prints words before the end of the audio, but no line', async () => {
    const child = start({});
    child.stdin?.write(speak(TWENTY));
    const [bytes] = (await once(child.stdout as NonNullable<typeof child.stdout>, 'data')) as [
      Buffer,
    ];
    expect(bytes.toString()).toMatch(/^w1/);
    expect(bytes.toString()).not.toContain('\n');
    child.stdin?.end();
    await once(child, 'close');
  });

  it('V6: newline: a line for each word', async () => {
    const { stdout } = await run(speak([1, 2, 3]), { mode: 'newline' });
    expect(stdout.toString()).toBe('w1\nw2\nw3\n');
  });

  it('V6: crash: dies once where told, and lives with its state file', async () => {
    const folder = await mkdtemp(join(tmpdir(), 'vf-state-'));
    const options = { mode: 'crash', afterWords: 3, stateFile: join(folder, 'died') } as const;
    const first = await run(speak(TWENTY), options);
    expect({ signal: first.signal, text: first.stdout.toString() }).toEqual({
      signal: 'SIGKILL',
      text: 'w1 w2 w3',
    });
    expect((await run(speak(TWENTY), options)).code).toBe(0);
    await rm(folder, { recursive: true });
    const bytes = await run(speak(TWENTY), { mode: 'crash', afterBytes: 50_000, exitCode: 3 });
    expect(bytes).toMatchObject({ code: 3, stderr: 'fatal: out of memory\n' });
  });

  it('V6: silent: hears all and says nothing', async () => {
    const { code, stdout } = await run(speak(TWENTY), { mode: 'silent' });
    expect({ code, text: stdout.toString() }).toEqual({ code: 0, text: '\n' });
  });

  it('V6: garbage: words between bytes that are no text', async () => {
    const { stdout } = await run(speak([1, 2, 3]), { mode: 'garbage' });
    expect(stdout.includes(0xff)).toBe(true);
    expect(stdout.includes(0x1b)).toBe(true);
    for (const word of ['w1', 'w2', 'w3']) expect(stdout.includes(word)).toBe(true);
  });

  it('V6: exit-nonzero-at-eof: says all, and fails', async () => {
    const { code, stdout } = await run(speak([1, 2]), { mode: 'exit-nonzero-at-eof' });
    expect({ code, text: stdout.toString() }).toEqual({ code: 1, text: 'w1 w2\n' });
  });

  it('V6: hang and ignore-sigterm: live on behind the end of their input', async () => {
    const hung = start({ mode: 'hang' });
    hung.stdin?.end(speak([1]));
    const stubborn = start({ mode: 'ignore-sigterm' });
    stubborn.stdin?.end(speak([1]));
    // Its last line is there: it would end now.
    await once(stubborn.stdout as NonNullable<typeof stubborn.stdout>, 'data');
    stubborn.kill('SIGTERM');
    hung.kill('SIGTERM');
    expect(await once(hung, 'close')).toEqual([null, 'SIGTERM']);
    expect([stubborn.exitCode, stubborn.signalCode]).toEqual([null, null]);
    stubborn.kill('SIGKILL');
    await once(stubborn, 'close');
  });

  it('V5: internal-reset: forgets what is under way, and goes on', async () => {
    const { code, stdout } = await run(speak(TWENTY), { mode: 'internal-reset', resetAfterS: 3 });
    const words = stdout.toString().trim().split(' ');
    expect(code).toBe(0);
    expect(words.length).toBeLessThan(20);
    expect(words.length).toBeGreaterThan(10);
    expect(words.at(-1)).toBe('w20');
  });

  it.each([
    ['no arguments', ['--stdin'], 1, /^Usage/],
    ['an unknown option', ['-d', '/m', '--stdin', '--loud'], 1, /^Unknown option: --loud/],
    ['a wrong interval', ['-d', '/m', '--stdin', '-I', '0'], 1, /^Error: -I requires/],
    ['no model', ['-d', '/nonexistent', '--stdin', '--silent'], 1, /^.+\n.+\n$/],
    ['help', ['-h'], 0, /^Usage/],
  ])('ends with %s as the program does', async (_name, args, code, stderr) => {
    const result = await run(speak([1]), {}, args);
    expect(result.code).toBe(code);
    expect(result.stderr).toMatch(stderr);
    expect(result.stdout).toHaveLength(0);
  });

  it('needs four bytes', async () => {
    expect(await run(Buffer.alloc(3))).toMatchObject({
      code: 1,
      stderr: 'Not enough data on stdin\n',
    });
    expect((await run(Buffer.alloc(4))).code).toBe(0);
  });

  it('takes WAV of 16 kHz and no other', async () => {
    const { code, stdout } = await run(writeWav(speak(TWENTY), 16_000));
    expect({ code, text: stdout.toString() }).toEqual({
      code: 0,
      text: `${transcript(TWENTY)}\n`,
    });
    expect(await run(writeWav(speak([1]), 8_000))).toMatchObject({
      code: 1,
      stderr: 'Invalid WAV data on stdin\n',
    });
  });

  it('is loud only where it is not told to be silent', async () => {
    const { stderr } = await run(speak([1]), {}, ['-d', model.path, '--stdin']);
    expect(stderr).toBe('Model loaded.\n');
  });

  it('keeps a record of its arguments and its input', async () => {
    const recordDir = await mkdtemp(join(tmpdir(), 'vf-record-'));
    const child = start({ recordDir });
    child.stdin?.end(speak(TWENTY));
    await once(child, 'close');
    expect((await readFile(join(recordDir, `${child.pid}.pcm`))).equals(speak(TWENTY))).toBe(true);
    const args = JSON.parse(await readFile(join(recordDir, `${child.pid}.args`), 'utf8'));
    expect(args).toEqual(['-d', model.path, '--stdin', '-I', '0.5', '--silent']);
    await rm(recordDir, { recursive: true });
  });
});
