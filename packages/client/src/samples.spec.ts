import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { durationS, loadPcm } from './audio-source.ts';
import { findSamples, shippedSample } from './samples.ts';

describe('findSamples', () => {
  let folder = '';
  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), 'voice-fleet-samples-'));
    await writeFile(join(folder, 'b.wav'), '');
    await writeFile(join(folder, 'a.wav'), '');
    await writeFile(join(folder, 'transcription'), '<s> hello there </s> (a)\n');
  });
  afterAll(() => rm(folder, { recursive: true }));

  it('takes the first folder that holds recordings, with their transcripts', async () => {
    expect(await findSamples(async () => [join(folder, 'absent'), folder])).toEqual([
      { path: join(folder, 'a.wav'), transcript: 'hello there' },
      { path: join(folder, 'b.wav'), transcript: '' },
    ]);
  });

  it('names the package to install when there are none', async () => {
    await expect(findSamples(async () => [])).rejects.toThrow(
      /apt-get install pocketsphinx-testdata/,
    );
  });

  it('has two seconds of speech of its own, with what is said in them', async () => {
    const { path, transcript } = await shippedSample();
    expect(transcript).toBe('he might even have been made');
    expect(durationS(await loadPcm(path, { ffmpeg: 'none' }))).toBe(2);
  });
});
