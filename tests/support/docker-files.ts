import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

/** The root of the repository. */
export const REPO = fileURLToPath(new URL('../..', import.meta.url));

/** A file of the repository. */
export function text(path: string): string {
  return readFileSync(join(REPO, path), 'utf8');
}

/** One instruction of a Dockerfile. */
export interface Instruction {
  readonly name: string;
  readonly value: string;
  /** Which FROM it stands below: 0 for none yet. */
  readonly stage: number;
}

/** Instructions of a Dockerfile of the repository. */
export function instructions(path: string): Instruction[] {
  return parse(text(path));
}

/** Instructions of a Dockerfile, with their continued lines joined. */
export function parse(source: string): Instruction[] {
  const joined = source.replaceAll(/^\s*#.*\n/gm, '').replaceAll('\\\n', '\n');
  const found: Instruction[] = [];
  let stage = 0;
  for (const line of joined.split('\n')) {
    const match = /^([A-Z]+) (.*)$/.exec(line);
    if (match?.[1] === undefined) {
      const last = found.at(-1);
      if (last && line.trim() !== '')
        found[found.length - 1] = { ...last, value: `${last.value}\n${line}` };
      continue;
    }
    if (match[1] === 'FROM') stage += 1;
    found.push({ name: match[1], value: match[2] ?? '', stage });
  }
  return found;
}

/** Values of the instructions of one name. */
export function only(all: readonly Instruction[], name: string): string[] {
  return all.filter((one) => one.name === name).map(({ value }) => value);
}

/** What a stage that others are not built from holds. */
export function last(all: readonly Instruction[]): Instruction[] {
  const stage = Math.max(...all.map((one) => one.stage));
  return all.filter((one) => one.stage === stage);
}

/** Whether .dockerignore lets a path through: the last pattern that fits it or a folder of it decides. */
export function sent(path: string): boolean {
  let ignored = false;
  for (const line of text('.dockerignore').split('\n')) {
    const pattern = line.trim();
    if (pattern === '' || pattern.startsWith('#')) continue;
    const negated = pattern.startsWith('!');
    const source = (negated ? pattern.slice(1) : pattern)
      .replaceAll(/[.+^${}()|[\]\\]/g, '\\$&')
      .replaceAll('**/', '\u0000')
      .replaceAll('*', '[^/]*')
      .replaceAll('\u0000', '(?:.*/)?');
    if (new RegExp(`^${source}(?:/.*)?$`).test(path)) ignored = !negated;
  }
  return !ignored;
}
