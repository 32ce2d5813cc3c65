import { readdirSync } from 'node:fs';
import { describe, expect, it } from '@jest/globals';
import { loadScript, SCRIPT_NAMES } from './scripts.ts';

describe('loadScript', () => {
  it('knows every file in lua/', () => {
    const files = readdirSync(new URL('./lua/', import.meta.url)).filter((file) =>
      file.endsWith('.lua'),
    );
    expect(files.sort()).toEqual(SCRIPT_NAMES.map((name) => `${name}.lua`).sort());
  });

  it.each(SCRIPT_NAMES)('resolves the includes of %s, each once', (name) => {
    const source = loadScript(name);
    expect(source).not.toMatch(/@include/);
    expect(source.match(/unpack\(KEYS\)/g)).toHaveLength(1);
  });

  it.each(SCRIPT_NAMES)('finds KEYS, ARGV and result in the header of %s', (name) => {
    expect(loadScript(name)).toMatch(/^-- .+\n-- KEYS .+\n-- ARGV [\s\S]+\n-- result /);
  });

  it.each(SCRIPT_NAMES)('builds no key name in %s: keys come declared', (name) => {
    expect(loadScript(name)).not.toMatch(/vf:|redis\.call\('\w+', '/);
  });
});
