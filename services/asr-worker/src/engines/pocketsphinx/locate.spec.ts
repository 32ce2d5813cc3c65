import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { locateSphinx } from './locate.ts';

const MODEL = 'usr/share/pocketsphinx/model/en-us';

let root: string;
beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), 'locate-'));
});
afterEach(() => rmSync(root, { recursive: true }));

function add(...paths: string[]): void {
  for (const path of paths) {
    mkdirSync(dirname(join(root, path)), { recursive: true });
    writeFileSync(join(root, path), '');
  }
}

describe('locateSphinx', () => {
  it.each(['x86_64-linux-gnu', 'aarch64-linux-gnu'])(
    'finds libraries and model for %s',
    (triple) => {
      const libraries = `usr/lib/${triple}`;
      add(`${libraries}/libsphinxbase.so.3`, `${libraries}/libpocketsphinx.so.3`);
      add(
        `${libraries}/blas/libblas.so.3`,
        `${libraries}/libgfortran.so.5`,
        `${MODEL}/en-us.lm.bin`,
      );
      expect(locateSphinx(['/nonexistent', root])).toEqual({
        sphinxbase: join(root, libraries, 'libsphinxbase.so.3'),
        pocketsphinx: join(root, libraries, 'libpocketsphinx.so.3'),
        preload: [
          join(root, libraries, 'libgfortran.so.5'),
          join(root, libraries, 'blas/libblas.so.3'),
        ],
        acousticModel: join(root, MODEL, 'en-us'),
        languageModel: join(root, MODEL, 'en-us.lm.bin'),
        dictionary: join(root, MODEL, 'cmudict-en-us.dict'),
      });
    },
  );

  it('names what is missing and how to get it', () => {
    const help =
      'run `apt-get install libpocketsphinx3 pocketsphinx-en-us` or, without root, `npm run setup`';
    expect(() => locateSphinx([root])).toThrow(
      `the embedded speech engine misses libpocketsphinx3 and pocketsphinx-en-us: ${help}`,
    );
    add('usr/lib/libsphinxbase.so.3', 'usr/lib/libpocketsphinx.so.3');
    expect(() => locateSphinx([root])).toThrow(`misses pocketsphinx-en-us: ${help}`);
  });
});
