import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { writeWav } from '@voice-fleet/speech/wav';
import { FakeClock } from '@voice-fleet/testkit/fake-clock';
import { durationS, loadPcm, pacedChunks } from './audio-source.ts';

const CHUNK_BYTES = 2560;

/** Lets everything that is ready run; no timer is involved. */
function settle(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
}

function collect(pcm: Buffer, options: Parameters<typeof pacedChunks>[1]) {
  const sent: { atMs: number; bytes: number }[] = [];
  const finished = (async () => {
    for await (const chunk of pacedChunks(pcm, options)) {
      sent.push({ atMs: options.clock.now(), bytes: chunk.length });
    }
  })();
  return { sent, finished };
}

describe('pacedChunks', () => {
  it('sends a chunk each 80 ms from the first one on, and a short last one', async () => {
    const clock = new FakeClock();
    const { sent, finished } = collect(Buffer.alloc(2.5 * CHUNK_BYTES), { clock });
    for (let i = 0; i < 3; i++) {
      await settle();
      clock.advance(80);
    }
    await finished;
    expect(sent).toEqual([
      { atMs: 0, bytes: CHUNK_BYTES },
      { atMs: 80, bytes: CHUNK_BYTES },
      { atMs: 160, bytes: CHUNK_BYTES / 2 },
    ]);
  });

  it('does not add up late timers: a late chunk is followed by one on time', async () => {
    const clock = new FakeClock();
    const { sent, finished } = collect(Buffer.alloc(4 * CHUNK_BYTES), { clock });
    for (const byMs of [200, 40]) {
      await settle();
      clock.advance(byMs);
    }
    await finished;
    // The timer of the second chunk fires at 80; a fake clock then stands at 200 for the third.
    expect(sent.map(({ atMs }) => atMs)).toEqual([0, 200, 200, 240]);
  });

  it('runs faster by the speed factor', async () => {
    const clock = new FakeClock();
    const { sent, finished } = collect(Buffer.alloc(2 * CHUNK_BYTES), { clock, speed: 4 });
    await settle();
    clock.advance(20);
    await finished;
    expect(sent.map(({ atMs }) => atMs)).toEqual([0, 20]);
  });

  it('stops with the reason of the signal and leaves no timer', async () => {
    const clock = new FakeClock();
    const stop = new AbortController();
    const { sent, finished } = collect(Buffer.alloc(9 * CHUNK_BYTES), {
      clock,
      signal: stop.signal,
    });
    await settle();
    stop.abort(new Error('enough'));
    await expect(finished).rejects.toThrow('enough');
    expect(sent).toHaveLength(1);
    expect(clock.pending).toBe(0);
  });
});

describe('loadPcm', () => {
  let folder = '';
  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), 'voice-fleet-audio-'));
  });
  afterAll(() => rm(folder, { recursive: true }));

  it('reads a 16 kHz mono WAV without ffmpeg', async () => {
    const path = join(folder, 'plain.wav');
    await writeFile(path, writeWav(Buffer.alloc(32_000, 1), 16_000));
    const pcm = await loadPcm(path, { ffmpeg: '/nowhere/ffmpeg' });
    expect(pcm).toEqual(Buffer.alloc(32_000, 1));
    expect(durationS(pcm)).toBe(1);
  });

  it('says which package is missing when another format needs ffmpeg', async () => {
    const path = join(folder, 'other.wav');
    await writeFile(path, writeWav(Buffer.alloc(16_000), 8_000));
    await expect(loadPcm(path, { ffmpeg: '/nowhere/ffmpeg' })).rejects.toThrow(
      /apt-get install ffmpeg/,
    );
  });

  it('hands the file to ffmpeg and takes its output', async () => {
    const path = join(folder, 'speech.mp3');
    const ffmpeg = join(folder, 'ffmpeg');
    await writeFile(path, 'not a WAV');
    await writeFile(ffmpeg, '#!/bin/sh\nprintf 123456\n', { mode: 0o755 });
    expect((await loadPcm(path, { ffmpeg })).toString()).toBe('123456');
  });

  it('passes on what ffmpeg complains about', async () => {
    const path = join(folder, 'broken.mp3');
    const ffmpeg = join(folder, 'ffmpeg-failing');
    await writeFile(path, 'not a WAV');
    await writeFile(ffmpeg, '#!/bin/sh\necho no stream >&2\nexit 1\n', { mode: 0o755 });
    await expect(loadPcm(path, { ffmpeg })).rejects.toThrow(/cannot decode .*no stream/);
  });

  it('names a file that cannot be read, and one without sound', async () => {
    await expect(loadPcm(join(folder, 'absent.wav'))).rejects.toThrow(/absent\.wav \(ENOENT\)/);
    const path = join(folder, 'empty.wav');
    await writeFile(path, writeWav(Buffer.alloc(0), 16_000));
    await expect(loadPcm(path)).rejects.toThrow(/holds no audio/);
  });
});
