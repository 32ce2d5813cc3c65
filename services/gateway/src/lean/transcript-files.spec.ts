import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { TranscriptFiles } from './transcript-files.ts';

const MS = Date.UTC(2026, 0, 2, 3, 4, 5, 6);

describe('files of transcripts', () => {
  let folder: string;
  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), 'files-'));
  });
  afterEach(() => rmSync(folder, { recursive: true }));

  it('bear the time and the id, and hold the text', async () => {
    const files = new TranscriptFiles(join(folder, 'a', 'b'));
    await files.save('sess_1', 'well said', MS);
    expect(readdirSync(join(folder, 'a', 'b'))).toEqual(['2026-01-02T03-04-05-006Z_sess_1.txt']);
    const [name = ''] = readdirSync(join(folder, 'a', 'b'));
    expect(readFileSync(join(folder, 'a', 'b', name), 'utf8')).toBe('well said\n');
  });

  it('never lie outside their folder, whatever the id', async () => {
    await new TranscriptFiles(join(folder, 'in')).save('../../out/x\0y', 'text', MS);
    expect(readdirSync(folder)).toEqual(['in']);
    expect(readdirSync(join(folder, 'in'))).toEqual(['2026-01-02T03-04-05-006Z_______out_x_y.txt']);
  });

  it('are not written over, and not longer than a million characters', async () => {
    const files = new TranscriptFiles(folder);
    await files.save('s', 'x'.repeat(2_000_000), MS);
    await expect(files.save('s', 'other', MS)).rejects.toThrow('EEXIST');
    const [name = ''] = readdirSync(folder);
    expect(readFileSync(join(folder, name)).length).toBe(1024 * 1024 + 1);
  });

  it('are tried again once their folder can be made', async () => {
    const blocked = join(folder, 'blocked');
    writeFileSync(blocked, '');
    const files = new TranscriptFiles(blocked);
    await expect(files.save('s', 'text', MS)).rejects.toThrow();
    rmSync(blocked);
    await files.save('s', 'text', MS);
    expect(readdirSync(blocked)).toHaveLength(1);
  });

  it('are given up when too many wait for the disk', async () => {
    const files = new TranscriptFiles(folder);
    const saved = await Promise.allSettled(
      Array.from({ length: 70 }, (_, nth) => files.save(`s${nth}`, 'text', MS)),
    );
    expect(saved.filter(({ status }) => status === 'rejected')).toHaveLength(6);
    await files.save('later', 'text', MS);
  });
});
