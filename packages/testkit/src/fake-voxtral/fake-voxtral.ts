import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

/** Stands in for the program of voxtral.c; runs wherever this Node's `node` is in PATH. */
export const FAKE_VOXTRAL = fileURLToPath(new URL('./voxtral.mjs', import.meta.url));

/** What the stand-in can be told to do. */
export interface FakeVoxtralOptions {
  /**
   * `normal`; `newline` in front of each word instead of a space; `slow` by `msPerSecond`; `crash` at `afterWords` or
   * `afterBytes`; `hang` without reading; `silent`, no words; `garbage` around the words; `flood`, endless text;
   * `exit-nonzero-at-eof` after all words; `ignore-sigterm` and never end; `internal-reset`, which forgets the words
   * under way every `resetAfterS`.
   */
  readonly mode?:
    | 'normal'
    | 'newline'
    | 'slow'
    | 'crash'
    | 'hang'
    | 'silent'
    | 'garbage'
    | 'flood'
    | 'exit-nonzero-at-eof'
    | 'ignore-sigterm'
    | 'internal-reset';
  /** Crash instead of the word that follows so many. */
  readonly afterWords?: number;
  /** Crash when so many bytes of audio are read. */
  readonly afterBytes?: number;
  /** Made by the first crash; while it is there nobody crashes. */
  readonly stateFile?: string;
  /** With which a crash ends; absent: by SIGKILL. */
  readonly exitCode?: number;
  /** Work on each second of audio; default 100. */
  readonly msPerSecond?: number;
  /** Default 157 s, as voxtral.c. */
  readonly resetAfterS?: number;
  /** Time that loading the model takes; default 0. */
  readonly loadMs?: number;
  /** What each word begins with; default `w`. Every third word is printed in two pieces, cut behind one byte of it. */
  readonly prefix?: string;
  /** A folder that gets `<pid>.args`, a JSON array, and `<pid>.pcm`, all bytes read. */
  readonly recordDir?: string;
}

/** A whole environment for the stand-in. */
export function fakeVoxtralEnv(options: FakeVoxtralOptions = {}): Record<string, string> {
  // The folder of this Node first, so that the stand-in runs on the same one.
  return {
    PATH: `${join(process.execPath, '..')}:/usr/bin:/bin`,
    FAKE_VOXTRAL: JSON.stringify(options),
  };
}

/** A folder that looks like a model to all who do not read it. */
export class FakeModelDir implements AsyncDisposable {
  readonly path: string;

  private constructor(path: string) {
    this.path = path;
  }

  static async create(): Promise<FakeModelDir> {
    const path = await mkdtemp(join(tmpdir(), 'vf-voxtral-'));
    for (const name of ['consolidated.safetensors', 'tekken.json', 'params.json'])
      await writeFile(join(path, name), '');
    return new FakeModelDir(path);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await rm(this.path, { recursive: true, force: true });
  }
}
