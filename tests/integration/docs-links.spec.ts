import { existsSync, readdirSync, readFileSync, statSync } from 'node:fs';
import { dirname, join, relative } from 'node:path';
import { describe, expect, it } from '@jest/globals';

const ROOT = join(import.meta.dirname, '../..');
const PAGES = [
  ...[
    'README.md',
    'CHANGELOG.md',
    'CONTRIBUTING.md',
    'docker/README.md',
    'charts/voice-fleet/README.md',
  ],
  ...readdirSync(join(ROOT, 'docs'), { recursive: true, encoding: 'utf8' })
    .filter((path) => path.endsWith('.md'))
    .map((path) => join('docs', path)),
];

/** Targets of links, outside of code. */
function links(text: string): string[] {
  const prose = text.replaceAll(/^```.*?^```/gms, '').replaceAll(/`[^`\n]*`/g, '');
  return [...prose.matchAll(/\]\(([^)\s]+)\)/g)].map(([, target = '']) => target);
}

/** Headings as GitHub names them. */
function anchors(text: string): string[] {
  const prose = text.replaceAll(/^```.*?^```/gms, '');
  return [...prose.matchAll(/^#+ (.+)$/gm)].map(([, heading = '']) =>
    heading
      .toLowerCase()
      .replaceAll(/[^\p{L}\p{N}\s_-]/gu, '')
      .replaceAll(' ', '-'),
  );
}

function broken(page: string): string[] {
  const text = readFileSync(join(ROOT, page), 'utf8');
  return links(text)
    .filter((target) => !/^[a-z]+:/.test(target))
    .filter((target) => {
      const [path = '', anchor] = target.split('#');
      const file = path === '' ? join(ROOT, page) : join(ROOT, dirname(page), path);
      if (!existsSync(file) || relative(ROOT, file).startsWith('..')) return true;
      if (anchor === undefined || statSync(file).isDirectory()) return false;
      return !anchors(readFileSync(file, 'utf8')).includes(anchor);
    });
}

describe('links between pages', () => {
  it('are found where they are, and not in code', () => {
    const text = '[a](b.md#c) `[d](e)`\n```\n[f](g)\n```\n# Who, what: `when`?\n';
    expect([links(text), anchors(text)]).toEqual([['b.md#c'], ['who-what-when']]);
  });

  it('lead to files and headings that are there', () => {
    expect(PAGES.length).toBeGreaterThan(60);
    const faults = PAGES.flatMap((page) => broken(page).map((target) => `${page}: ${target}`));
    expect(faults).toEqual([]);
  });

  it('lead from the first page to every page for operators', () => {
    const index = links(readFileSync(join(ROOT, 'README.md'), 'utf8'));
    const pages = PAGES.filter((page) => /^docs\/operations\/[^/]+\.md$/.test(page));
    expect(pages.filter((page) => !index.includes(page))).toEqual([]);
  });
});
