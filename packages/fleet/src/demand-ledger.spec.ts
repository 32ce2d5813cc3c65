import { readdirSync } from 'node:fs';
import { describe, expect, it } from '@jest/globals';
import { readLua } from './scripts.ts';

describe('the script of the demand ledger', () => {
  const script = readLua('demand/exchange.lua');

  it('is the only one in lua/demand/', () => {
    expect(readdirSync(new URL('./lua/demand/', import.meta.url))).toEqual(['exchange.lua']);
  });

  it('has its includes resolved, and tells of KEYS, ARGV and result', () => {
    expect(script).not.toMatch(/@include/);
    expect(script).toMatch(/^-- .+\n-- KEYS .+\n-- ARGV [\s\S]+\n-- result /);
  });

  it('builds no key name: keys come declared', () => {
    expect(script).not.toMatch(/vf:|redis\.call\('\w+', '/);
  });
});
