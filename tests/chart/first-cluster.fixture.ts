import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { CHART } from '../../scripts/chart/helm.ts';

const ROOT = join(CHART, '../..');

/** What docs/operations/first-cluster.md tells people to type, and what they will see. */
export function firstCluster() {
  const page = readFileSync(join(ROOT, 'docs/operations/first-cluster.md'), 'utf8');
  const [[, first = ''] = [], ...others] = page.matchAll(/```sh\n(.*?)```/gs);
  const commands = first.trim().split('\n');
  const [build = '', load = '', secret = '', install = '', test = ''] = commands;
  return {
    commands,
    build,
    test,
    images: wordsOf(load).filter((word) => word.startsWith('voice-fleet/')),
    secret: {
      command: wordsOf(secret).slice(0, 4),
      name: wordsOf(secret)[4] ?? '',
      keys: [...secret.matchAll(/--from-literal=([\w-]+)=/g)].map(([, key = '']) => key),
    },
    release: wordsOf(install)[2] ?? '',
    values: flagsOf(install, '-f').map((file) => join(ROOT, file)),
    set: flagsOf(install, '--set'),
    /** What follows the five. */
    rest: others.map(([, text = '']) => text).join('\n'),
    /** What was understood. */
    words: /"([a-z' ]+)", first word/.exec(page)?.[1] ?? '',
  };
}

/** Values of a flag, in the order in which they stand. */
export function flagsOf(command: string, name: string): string[] {
  return [...command.matchAll(new RegExp(`${name} (\\S+)`, 'g'))].map(([, value = '']) => value);
}

function wordsOf(command: string): string[] {
  return command.split(/\s+/);
}
