import { mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { downloadCommands, readSnapshot } from './snapshot.ts';

let folder = '';
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'voice-fleet-snapshot-'));
});
afterEach(() => rmSync(folder, { recursive: true }));

function put(...names: string[]): void {
  for (const name of names) writeFileSync(join(folder, name), '0123456789');
}

describe('Y44: a snapshot', () => {
  it('is ready with its three files', () => {
    put('params.json', 'tekken.json', 'consolidated.safetensors');
    expect(readSnapshot(folder)).toEqual({ ready: true, missing: [], weightBytes: 10 });
  });

  it.each([
    [['tekken.json', 'a.safetensors'], ['params.json']],
    [['params.json', 'a.safetensors'], ['tekken.json']],
    [['params.json', 'tekken.json', 'a.safetensors.part'], ['*.safetensors']],
    [[], ['params.json', 'tekken.json', '*.safetensors']],
  ])('of %j lacks %j', (names, missing) => {
    put(...names);
    expect(readSnapshot(folder)).toMatchObject({ ready: false, missing });
  });

  it('does not count files that are empty or links that lead nowhere', () => {
    put('params.json', 'tekken.json');
    writeFileSync(join(folder, 'a.safetensors'), '');
    symlinkSync(join(folder, 'gone'), join(folder, 'b.safetensors'));
    expect(readSnapshot(folder)).toEqual({ ready: false, missing: ['*.safetensors'] });
  });

  it('may be links', () => {
    put('params.json', 'tekken.json', 'blob');
    symlinkSync(join(folder, 'blob'), join(folder, 'consolidated.safetensors'));
    expect(readSnapshot(folder)).toEqual({ ready: true, missing: [], weightBytes: 10 });
  });

  it('weighs what vLLM loads of it, not the same weights in another form', () => {
    put('params.json', 'tekken.json', 'model.safetensors', 'consolidated.safetensors');
    expect(readSnapshot(folder).weightBytes).toBe(10);
    rmSync(join(folder, 'consolidated.safetensors'));
    put('model-2.safetensors');
    expect(readSnapshot(folder).weightBytes).toBe(20);
  });

  it('is not ready where there is no folder', () => {
    expect(readSnapshot(join(folder, 'none')).ready).toBe(false);
  });
});

describe('the download', () => {
  const wanted = { modelId: 'mistralai/Voxtral', folder: '/models/voxtral', vllm: 'vllm' };

  it('is by hf, else by python', () => {
    const [hf, python, ...more] = downloadCommands(wanted);
    expect(hf?.join(' ')).toBe(
      'hf download mistralai/Voxtral --exclude model*.safetensors --local-dir /models/voxtral',
    );
    expect(python?.slice(0, 2)).toEqual(['python3', '-c']);
    expect(python?.slice(3)).toEqual([
      'mistralai/Voxtral',
      '',
      '/models/voxtral',
      'model*.safetensors',
    ]);
    expect(more).toEqual([]);
  });

  it('is of the revision that is named', () => {
    const [hf, python] = downloadCommands({ ...wanted, revision: '0a1b' });
    expect(hf?.join(' ')).toContain('--revision 0a1b');
    expect(python?.[4]).toBe('0a1b');
  });

  it('is by the programs beside vLLM where its folder is known', () => {
    const programs = downloadCommands({ ...wanted, vllm: '/opt/venv/bin/vllm' }).map(
      ([name]) => name,
    );
    expect(programs).toEqual(['/opt/venv/bin/hf', '/opt/venv/bin/python3']);
  });
});
