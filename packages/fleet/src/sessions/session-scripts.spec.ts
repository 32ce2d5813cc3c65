import { readdirSync } from 'node:fs';
import { describe, expect, it } from '@jest/globals';
import { loadSessionScript, SESSION_SCRIPTS } from './session-scripts.ts';

describe('loadSessionScript', () => {
  it('knows every file in lua/sessions/', () => {
    const files = readdirSync(new URL('../lua/sessions/', import.meta.url));
    expect(files.sort()).toEqual(SESSION_SCRIPTS.map((name) => `${name}.lua`).sort());
  });

  it.each(SESSION_SCRIPTS)('resolves the includes of %s', (name) => {
    expect(loadSessionScript(name)).not.toMatch(/@include/);
  });

  it.each(SESSION_SCRIPTS)('finds KEYS, ARGV and result in the header of %s', (name) => {
    expect(loadSessionScript(name)).toMatch(/^-- .+\n-- KEYS .+\n-- ARGV [\s\S]+\n-- result /);
  });

  it.each(SESSION_SCRIPTS)('builds no key name in %s: keys come declared', (name) => {
    expect(loadSessionScript(name)).not.toMatch(/vf:|redis\.call\('\w+', '/);
  });

  it.each(SESSION_SCRIPTS)('uses nothing in %s that came after Redis 6.0', (name) => {
    expect(loadSessionScript(name)).not.toMatch(
      /'(GETEX|GETDEL|LMOVE|EXPIRETIME|COPY)'|LPOP', \w+, /,
    );
  });
});
