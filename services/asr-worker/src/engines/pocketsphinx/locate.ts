import { existsSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

/** Every file the engine needs, as absolute paths. */
export interface SphinxFiles {
  readonly sphinxbase: string;
  readonly pocketsphinx: string;
  /** What sphinxbase links to, lowest first; tried only when the system's linker does not find it. */
  readonly preload: readonly string[];
  readonly acousticModel: string;
  readonly languageModel: string;
  readonly dictionary: string;
}

const MODEL = 'usr/share/pocketsphinx/model/en-us';
const LINKED_BY_SPHINXBASE = [
  'libquadmath.so.0',
  'libgfortran.so.5',
  'blas/libblas.so.3',
  'lapack/liblapack.so.3',
];

/** Where `npm run setup` unpacks Debian packages for a user who is not root. */
const UNPACKED_ROOT = fileURLToPath(new URL('../../../../../.cache/debian/root', import.meta.url));

/** Finds Debian's pocketsphinx and its English model; throws one sentence that says how to get them. */
export function locateSphinx(roots: readonly string[] = ['/', UNPACKED_ROOT]): SphinxFiles {
  const folders = roots.flatMap(libraryFolders);
  const model = roots.map((root) => join(root, MODEL)).find((folder) => existsSync(folder));
  const sphinxbase = firstFile(folders, 'libsphinxbase.so.3');
  const pocketsphinx = firstFile(folders, 'libpocketsphinx.so.3');
  if (!sphinxbase || !pocketsphinx || !model) {
    const missing = [
      ...(sphinxbase && pocketsphinx ? [] : ['libpocketsphinx3']),
      ...(model ? [] : ['pocketsphinx-en-us']),
    ];
    throw new Error(
      `the embedded speech engine misses ${missing.join(' and ')}: ` +
        'run `apt-get install libpocketsphinx3 pocketsphinx-en-us` or, without root, `npm run setup`',
    );
  }
  return {
    sphinxbase,
    pocketsphinx,
    preload: LINKED_BY_SPHINXBASE.flatMap((name) => firstFile(folders, name) ?? []),
    acousticModel: join(model, 'en-us'),
    languageModel: join(model, 'en-us.lm.bin'),
    dictionary: join(model, 'cmudict-en-us.dict'),
  };
}

/** The library folders of one root; Debian's carry the machine's triple, as in `usr/lib/aarch64-linux-gnu`. */
function libraryFolders(root: string): string[] {
  return ['usr/lib', 'lib', 'usr/local/lib'].flatMap((name) => {
    const folder = join(root, name);
    if (!existsSync(folder)) return [];
    const triples = readdirSync(folder).filter((entry) => entry.includes('-linux-'));
    return [...triples.map((triple) => join(folder, triple)), folder];
  });
}

function firstFile(folders: readonly string[], name: string): string | undefined {
  return folders.map((folder) => join(folder, name)).find((path) => existsSync(path));
}
