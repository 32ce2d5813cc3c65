import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { describe, expect, it } from '@jest/globals';
import { PAGE_FOLDER, PAGE_INDEX, PAGE_NAMES, PageFiles } from './page-files.ts';

const text = (name: string): string => readFileSync(new URL(name, PAGE_FOLDER), 'utf8');
const scripts = PAGE_NAMES.filter((name) => name.endsWith('.js'));

describe('the files of the page', () => {
  it('are all that its folder has, but for the specs', () => {
    const there = readdirSync(PAGE_FOLDER, { withFileTypes: true })
      .filter((entry) => entry.isFile() && !entry.name.endsWith('.spec.js'))
      .map(({ name }) => name);
    expect([...PAGE_NAMES].sort()).toEqual(there.sort());
  });

  it.each(scripts)('%s imports only what is served, and fits on a few screens', (name) => {
    const imported = [...text(name).matchAll(/(?:from |import )'\.\/([^']+)'/g)];
    for (const [, file] of imported) expect(PAGE_NAMES).toContain(file);
    expect(text(name)).not.toMatch(/from '[^.]/);
    expect(text(name).trimEnd().split('\n').length).toBeLessThanOrEqual(200);
  });

  it('are asked for by names that there are, and nothing is asked for elsewhere', () => {
    const asked = [...text(PAGE_INDEX).matchAll(/(?:src|href)="([^"#]+)"/g)].map(([, url]) => url);
    expect(asked.length).toBeGreaterThan(3);
    for (const url of asked) expect(PAGE_NAMES.map((name) => `page/${name}`)).toContain(url);
    const css = PAGE_NAMES.filter((name) => name.endsWith('.css')).map(text);
    expect(css.join('\n')).not.toMatch(/url\(|@import/);
  });

  it('have a media type and a tag that goes with their content', () => {
    const files = new PageFiles();
    const tags = PAGE_NAMES.map((name) => files.get(name)?.etag);
    expect(new Set(tags).size).toBe(PAGE_NAMES.length);
    expect(files.get('main.js')?.type).toBe('text/javascript; charset=utf-8');
    expect(new PageFiles().get('main.js')?.etag).toBe(files.get('main.js')?.etag);
    expect(files.get('../gateway.ts')).toBeUndefined();
  });

  it('are missed when the gateway starts, not when somebody asks', () => {
    const empty = mkdtempSync(join(tmpdir(), 'voice-fleet-page-'));
    try {
      expect(() => new PageFiles(pathToFileURL(`${empty}/`))).toThrow(/ENOENT.*index\.html/);
    } finally {
      rmSync(empty, { recursive: true });
    }
  });
});
