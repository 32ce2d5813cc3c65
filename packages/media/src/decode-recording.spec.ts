import { chmodSync, existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { VoiceError } from '@voice-fleet/protocol/errors';
import { writeWav } from '@voice-fleet/speech/wav';
import { speak } from '@voice-fleet/testkit/coded-speech';
import { decodeRecording } from './decode-recording.ts';

/** A deadline must not be garbage, though nobody but the system's timers holds it. */
function collectGarbage(): void {
  setFlagsFromString('--expose_gc');
  (runInNewContext('gc') as () => void)();
}

const OGG = Buffer.from('OggS and so on');

describe('a recording', () => {
  let folder: string;
  const never = new AbortController().signal;

  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), 'decode-'));
  });
  afterEach(() => rmSync(folder, { recursive: true }));

  /** A program in the place of ffmpeg; it keeps its arguments and its process id. */
  function program(body: string): string {
    const path = join(folder, 'ffmpeg');
    const keep = `require('fs').writeFileSync('${folder}/args', [process.pid, ...process.argv.slice(2)].join(' '));`;
    writeFileSync(path, `#!${process.execPath}\n${keep}\n${body}\n`);
    chmodSync(path, 0o755);
    return path;
  }
  const decode = (
    bytes: Buffer,
    ffmpeg = join(folder, 'missing'),
    maxDurationMs = 2_000,
    signal = never,
  ): Promise<Buffer> => decodeRecording(bytes, { ffmpeg, maxDurationMs }, signal);
  const fault = async (decoded: Promise<unknown>): Promise<VoiceError> => {
    const error: unknown = await decoded.catch((thrown: unknown) => thrown);
    if (!(error instanceof VoiceError)) throw new Error(`no VoiceError: ${String(error)}`);
    return error;
  };

  it('that is a WAV is read without its header and without ffmpeg', async () => {
    const pcm = speak([1, 2]);
    expect((await decode(writeWav(pcm, 16_000))).equals(pcm)).toBe(true);
  });

  it('that is a WAV of another rate is converted', async () => {
    expect((await decode(writeWav(Buffer.alloc(2 * 44_100), 44_100))).length).toBe(2 * 16_000);
  });

  it('that is a damaged or a longer WAV is refused with the reason', async () => {
    const damaged = await fault(decode(Buffer.from('RIFF....WAVE')));
    expect([damaged.code, damaged.message]).toEqual([
      'invalid_audio',
      expect.stringContaining('cut off'),
    ]);
    const long = await fault(decode(writeWav(Buffer.alloc(2 * 33_000), 16_000)));
    expect([long.code, long.details]).toEqual(['message_too_large', { max_seconds: 2 }]);
    const rf64 = await fault(decode(Buffer.from('RF64....WAVE')));
    expect(rf64.code).toBe('invalid_audio');
  });

  it('of another kind goes through ffmpeg, which reads nothing but what it is given', async () => {
    const ffmpeg = program(`process.stdin.on('data', (data) => process.stdout.write(data));`);
    expect((await decode(OGG, ffmpeg)).toString()).toBe(OGG.toString());
    const args = readFileSync(join(folder, 'args'), 'utf8');
    expect(args).toContain('-protocol_whitelist pipe -i pipe:0');
    expect(args).toContain('-f s16le -ac 1 -ar 16000 pipe:1');
  });

  it('of a kind that nobody knows is refused with those that are read', async () => {
    const error = await fault(decode(OGG));
    expect([error.code, error.status]).toEqual(['invalid_audio', 400]);
    expect(error.message).toContain('none of WAV, MP3');
  });

  it('that ffmpeg cannot decode is refused with what it says, and one without audio as empty', async () => {
    const failing = program(`console.error('pipe:0: Invalid data found'); process.exitCode = 1;`);
    const error = await fault(decode(OGG, failing));
    expect([error.code, error.message]).toEqual([
      'invalid_audio',
      expect.stringContaining('Invalid data found'),
    ]);
    const empty = program(`process.stdin.resume();`);
    expect((await fault(decode(OGG, empty))).code).toBe('missing_audio');
  });

  it('that ffmpeg makes longer than it may be ends ffmpeg', async () => {
    const endless = program(`setInterval(() => process.stdout.write(Buffer.alloc(64000)), 1);`);
    expect((await fault(decode(OGG, endless))).code).toBe('message_too_large');
  });

  it('whose client has gone ends ffmpeg', async () => {
    const hanging = program(`setInterval(() => undefined, 1000);`);
    const gone = new AbortController();
    const decoded = fault(decode(OGG, hanging, 2_000, gone.signal));
    while (!existsSync(join(folder, 'args'))) await new Promise(setImmediate);
    gone.abort();
    expect((await decoded).code).toBe('cancelled');
    await ended(readFileSync(join(folder, 'args'), 'utf8'));
  });

  it('that kills ffmpeg, or of which it makes nothing, is refused with the reason', async () => {
    const dying = program(
      `process.stdout.write(Buffer.alloc(1_000), () => process.kill(process.pid, 'SIGKILL'));`,
    );
    expect((await fault(decode(OGG, dying))).message).toMatch(/damaged or no recording$/);
    const complaining = program(`console.error('pipe:0: no packets'); process.stdin.resume();`);
    const error = await fault(decode(OGG, complaining));
    expect([error.code, error.message]).toEqual([
      'invalid_audio',
      expect.stringContaining('pipe:0: no packets'),
    ]);
  });

  it('is whole samples, whatever ffmpeg writes', async () => {
    const odd = program(`process.stdout.write(Buffer.alloc(1_001));`);
    expect(await decode(OGG, odd)).toHaveLength(1_000);
  });

  it('over which ffmpeg hangs, deaf and loud, is refused in time', async () => {
    const hanging = program(
      `process.on('SIGTERM', () => undefined); setInterval(() => process.stderr.write('x'.repeat(64_000)), 1);`,
    );
    const limits = { ffmpeg: hanging, maxDurationMs: 2_000, timeoutMs: 1_000 };
    const refused = fault(decodeRecording(OGG, limits, never));
    while (!existsSync(join(folder, 'args'))) await new Promise(setImmediate);
    collectGarbage();
    const { code, message } = await refused;
    expect([code, message]).toEqual(['invalid_audio', expect.stringMatching(/it takes too long$/)]);
    await ended(readFileSync(join(folder, 'args'), 'utf8'));
  });

  it('is not waited for when a child of ffmpeg goes on writing', async () => {
    const pid = join(folder, 'pid');
    const child = `require('fs').writeFileSync('${pid}', String(process.pid));
      process.stdout.on('error', () => process.exit());
      setInterval(() => process.stdout.write(Buffer.alloc(64_000)), 1);`;
    const parent = program(
      `require('child_process').spawn(process.execPath, ['-e', ${JSON.stringify(child)}], { stdio: 'inherit' });`,
    );
    expect((await fault(decode(OGG, parent))).code).toBe('message_too_large');
    await ended(readFileSync(pid, 'utf8'));
  });

  it('is decoded without ffmpeg where that cannot be started', async () => {
    const file = join(folder, 'ffmpeg');
    writeFileSync(file, 'no program');
    const flac = readFileSync(new URL('../fixtures/tone.flac', import.meta.url));
    expect((await decode(flac, file)).length).toBe(2 * 8_000);
    chmodSync(file, 0o755);
    expect((await decode(flac, file)).length).toBe(2 * 8_000);
  });
});

/** Settles when a process is no more; its id is the first word. */
async function ended(words: string): Promise<void> {
  const pid = Number.parseInt(words, 10);
  const alive = (): boolean => {
    try {
      return process.kill(pid, 0);
    } catch {
      return false;
    }
  };
  while (alive()) await new Promise(setImmediate);
}
