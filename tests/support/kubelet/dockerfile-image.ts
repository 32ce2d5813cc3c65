import { instructions, last, only } from '../docker-files.ts';
import type { Image } from './images.ts';

/** Hands signals on and nothing else; this host has none. */
const INIT = ['/usr/bin/tini', '--'];
/** Other than what this host needs to find programs. */
const HOST_ENV = ['PATH'];

/** What a Dockerfile of this repository says of its image. `args`: those of the build. */
export function dockerfileImage(path: string, args: Readonly<Record<string, string>> = {}): Image {
  const stage = last(instructions(path));
  const filled = (text: string): string =>
    text.replaceAll(/\$\{(\w+)\}/g, (match, name: string) => args[name] ?? match);
  const words = (name: string): string[] => {
    const [text = '[]'] = only(stage, name).slice(-1);
    return JSON.parse(text) as string[];
  };
  const env: Record<string, string> = {};
  for (const text of only(stage, 'ENV')) {
    for (const [, name = '', value = ''] of filled(text).matchAll(/(\w+)=(\S+)/g)) {
      if (!HOST_ENV.includes(name)) env[name] = value;
    }
  }
  const entrypoint = words('ENTRYPOINT');
  const hasInit = INIT.every((word, place) => entrypoint[place] === word);
  return {
    entrypoint: hasInit ? entrypoint.slice(INIT.length) : entrypoint,
    cmd: words('CMD'),
    workingDir: filled(only(stage, 'WORKDIR').at(-1) ?? '/'),
    env,
  };
}

/** Files of the folder docker that it puts into `/app`. */
export function appFiles(path: string): string[] {
  return only(last(instructions(path)), 'COPY')
    .filter((text) => text.startsWith('docker/'))
    .flatMap((text) => text.split(/\s+/).slice(0, -1));
}
