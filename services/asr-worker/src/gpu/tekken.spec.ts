import {
  chmodSync,
  existsSync,
  linkSync,
  lstatSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { patchTekken, writeDelay } from './tekken.ts';

const patched = (value: unknown, delayMs = 400): unknown => {
  const patch = patchTekken(JSON.stringify(value), delayMs);
  return patch.kind === 'changed' ? JSON.parse(patch.text) : patch.kind;
};

describe('Y43: the delay in tekken.json', () => {
  it('replaces a key at the top', () => {
    expect(patched({ a: 1, transcription_delay_ms: 480 })).toEqual({
      a: 1,
      transcription_delay_ms: 400,
    });
  });

  it('replaces the one of audio where there is none at the top', () => {
    const audio = { transcription_delay_ms: 480, frame_rate: 12.5 };
    expect(patched({ audio, vocab: [] })).toEqual({
      audio: { frame_rate: 12.5, transcription_delay_ms: 400 },
      vocab: [],
    });
  });

  it('replaces the one at the top only where both are there', () => {
    const audio = { transcription_delay_ms: 480 };
    expect(patched({ audio, transcription_delay_ms: 80 })).toEqual({
      audio,
      transcription_delay_ms: 400,
    });
  });

  it.each([{}, { audio: {} }, { audio: null }, { audio: ['transcription_delay_ms'] }])(
    'is added at the top where there is none: %j',
    (value) => {
      expect(patched(value)).toEqual({ ...value, transcription_delay_ms: 400 });
    },
  );

  it.each([
    { transcription_delay_ms: 400 },
    { audio: { transcription_delay_ms: 400 } },
    { transcription_delay_ms: 400, audio: { transcription_delay_ms: 480 } },
  ])('is left alone where it is right: %j', (value) => {
    expect(patched(value)).toBe('same');
  });

  it('is replaced where it is a text', () => {
    expect(patched({ transcription_delay_ms: '400' })).toEqual({ transcription_delay_ms: 400 });
  });

  it.each(['', '{', '[]', 'null', '"x"', '7'])('is not set in %j', (text) => {
    expect(patchTekken(text, 400).kind).toBe('skipped');
  });

  it('is written with sorted keys at all depths, an indent of 2, and all else as it was', () => {
    const patch = patchTekken('{"b":{"d":[{"z":1,"y":"é\\u2028"}],"c":null},"a":true}', 80);
    expect(patch).toEqual({
      kind: 'changed',
      text: `{
  "a": true,
  "b": {
    "c": null,
    "d": [
      {
        "y": "é\u2028",
        "z": 1
      }
    ]
  },
  "transcription_delay_ms": 80
}`,
    });
  });
});

describe('Y43: the file tekken.json', () => {
  let folder = '';
  let file = '';
  const text = JSON.stringify({ audio: { transcription_delay_ms: 480 } });
  const delayOf = (path: string): unknown =>
    (JSON.parse(readFileSync(path, 'utf8')) as { audio: Record<string, unknown> }).audio[
      'transcription_delay_ms'
    ];

  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), 'voice-fleet-tekken-'));
    file = join(folder, 'tekken.json');
    writeFileSync(file, text);
  });
  afterEach(() => rmSync(folder, { recursive: true }));

  it('gets the delay, and is the only file left', () => {
    expect(writeDelay(file, file, 400)).toBe('written');
    expect(delayOf(file)).toBe(400);
    expect(readdirSync(folder)).toEqual(['tekken.json']);
  });

  it('is not touched by the second start', () => {
    writeDelay(file, file, 400);
    const before = statSync(file);
    expect(writeDelay(file, file, 400)).toBe('same');
    const after = statSync(file);
    expect([after.ino, after.mtimeMs]).toEqual([before.ino, before.mtimeMs]);
  });

  it('is not touched where it was right, however it is laid out', () => {
    expect(writeDelay(file, file, 480)).toBe('same');
    expect(readFileSync(file, 'utf8')).toBe(text);
  });

  it('may be missing: a warning', () => {
    rmSync(file);
    expect(writeDelay(file, file, 400)).toEqual({ warning: expect.stringContaining('is missing') });
    expect(existsSync(file)).toBe(false);
  });

  it('may be something else: a warning, and it stays as it is', () => {
    writeFileSync(file, '[]');
    expect(writeDelay(file, file, 400)).toEqual({ warning: expect.stringContaining('object') });
    expect(readFileSync(file, 'utf8')).toBe('[]');
  });

  it('is replaced where it is a link, and the file behind it stays', () => {
    const blob = join(folder, 'blob');
    writeFileSync(blob, text, { mode: 0o444 });
    rmSync(file);
    symlinkSync(blob, file);
    expect(writeDelay(file, file, 400)).toBe('written');
    expect(lstatSync(file).isFile()).toBe(true);
    expect(delayOf(file)).toBe(400);
    expect(readFileSync(blob, 'utf8')).toBe(text);
    // Writable again, so that the next delay can be written.
    expect(statSync(file).mode & 0o200).toBe(0o200);
  });

  it('leaves another name of the same file alone', () => {
    const other = join(folder, 'other');
    linkSync(file, other);
    writeDelay(file, file, 400);
    expect(delayOf(file)).toBe(400);
    expect(readFileSync(other, 'utf8')).toBe(text);
  });

  it('is not changed in the cache of Hugging Face', () => {
    const snapshot = join(folder, 'models--m/snapshots/0a1b');
    mkdirSync(snapshot, { recursive: true });
    const cached = join(snapshot, 'tekken.json');
    symlinkSync(file, cached);
    expect(() => writeDelay(cached, cached, 400)).toThrow(/VOXTRAL_SNAPSHOT_DIR=/);
    expect(lstatSync(cached).isSymbolicLink()).toBe(true);
    expect(writeDelay(cached, cached, 480)).toBe('same');
  });

  describe('of a snapshot that is not written to', () => {
    let own = '';

    beforeEach(() => {
      const folderOfOwn = join(folder, 'own');
      mkdirSync(folderOfOwn);
      own = join(folderOfOwn, 'tekken.json');
      chmodSync(file, 0o444);
    });

    it('becomes a copy with the delay', () => {
      expect(writeDelay(file, own, 400)).toBe('written');
      expect([delayOf(own), delayOf(file)]).toEqual([400, 480]);
      expect(writeDelay(file, own, 400)).toBe('same');
    });

    it('becomes a copy also where the delay is right, and never a link', () => {
      symlinkSync(file, own);
      expect(writeDelay(file, own, 480)).toBe('written');
      expect(lstatSync(own).isFile()).toBe(true);
      expect(readFileSync(own, 'utf8')).toBe(text);
      expect(writeDelay(file, own, 480)).toBe('same');
    });

    it('is copied anew when it changes', () => {
      writeDelay(file, own, 400);
      chmodSync(file, 0o644);
      writeFileSync(file, JSON.stringify({ audio: { transcription_delay_ms: 480, n: 1 } }));
      expect(writeDelay(file, own, 400)).toBe('written');
      expect(readFileSync(own, 'utf8')).toContain('"n": 1');
    });
  });
});
