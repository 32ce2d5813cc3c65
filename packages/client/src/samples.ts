import { execFile } from 'node:child_process';
import { readdir, readFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { promisify } from 'node:util';

export interface Sample {
  readonly path: string;
  /** What is said in it, in lower case; empty when the package ships no transcript. */
  readonly transcript: string;
}

const PACKAGE = 'pocketsphinx-testdata';
const FOLDER = 'usr/share/pocketsphinx/test/data/librivox';
const REPOSITORY = join(import.meta.dirname, '../../..');
/** Beside the sources, compiled or not; whose it is stands there. */
const SHIPPED = join(import.meta.dirname, '../recordings');

/** The LibriVox recordings of Debian's pocketsphinx-testdata, in the order of their names; without them the one that is shipped. */
export async function findSamples(
  folders: () => Promise<readonly string[]> = sampleFolders,
): Promise<[Sample, ...Sample[]]> {
  for (const folder of await folders()) {
    const [first, ...rest] = await readSamples(folder);
    if (first) return [first, ...rest];
  }
  throw new Error(
    `No sample recordings found. Run \`apt-get install ${PACKAGE}\` or \`npm run setup\`, or name a recording of your own with --file.`,
  );
}

/** Two seconds of speech that lie in this package: the same words wherever it runs. */
export async function shippedSample(): Promise<Sample> {
  const [sample] = await findSamples(async () => [SHIPPED]);
  return sample;
}

async function sampleFolders(): Promise<readonly string[]> {
  return [...(await packagedFolder()), join(REPOSITORY, '.cache/debian/root', FOLDER), SHIPPED];
}

async function packagedFolder(): Promise<readonly string[]> {
  try {
    const { stdout } = await promisify(execFile)('dpkg', ['-L', PACKAGE], { timeout: 10_000 });
    const recording = stdout.split('\n').find((path) => /\/librivox\/.*\.wav$/.test(path));
    return recording ? [dirname(recording)] : [];
  } catch {
    // No dpkg, or the package is not installed: the copy unpacked by setup may be there.
    return [];
  }
}

async function readSamples(folder: string): Promise<Sample[]> {
  const names = await readdir(folder).catch(() => []);
  const transcripts = await readTranscripts(join(folder, 'transcription'));
  return names
    .filter((name) => name.endsWith('.wav'))
    .sort()
    .map((name) => ({
      path: join(folder, name),
      transcript: transcripts.get(name.slice(0, -'.wav'.length)) ?? '',
    }));
}

/** Lines read `<s> words </s> (name)`. */
async function readTranscripts(path: string): Promise<Map<string, string>> {
  const text = await readFile(path, 'utf8').catch(() => '');
  const lines = text.matchAll(/^<s> (?<words>.*) <\/s> \((?<name>.*)\)$/gm);
  return new Map(
    Array.from(lines, ({ groups }) => [groups?.['name'] ?? '', groups?.['words'] ?? '']),
  );
}
