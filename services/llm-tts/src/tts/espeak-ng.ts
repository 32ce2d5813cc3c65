import { type ChildProcess, spawn } from 'node:child_process';
import { VoiceError } from '@voice-fleet/protocol/errors';
import type { Phrase, SpeechAudio, TtsEngine } from './engine.ts';
import { speechFromWav } from './speech-audio.ts';

const COMMAND = 'espeak-ng';
const MAX_BYTES = 8 * 1024 * 1024;
const MAX_WAITING = 128;
const VOICES_TIMEOUT_MS = 5_000;
/** Names it takes: a language, or one with a variant. Nothing that could be an option or a path. */
const VOICE = /^[a-z]{2,3}(?:[-+][a-z0-9]{1,10}){0,3}$/iu;

/** espeak-ng, if it is installed: a process for each phrase. Speaks about a hundred languages. */
export class EspeakNg implements TtsEngine {
  readonly name = 'espeak-ng';
  readonly #languages: ReadonlySet<string>;
  readonly #workers: number;
  readonly #children = new Set<ChildProcess>();
  /** Those that wait for the place of another. */
  readonly #waiting: (() => void)[] = [];
  #active = 0;
  #isStopped = false;

  private constructor(languages: ReadonlySet<string>, workers: number) {
    this.#languages = languages;
    this.#workers = workers;
  }

  /** Undefined when it is not installed, or lists no voices. `workers`: processes at a time. */
  static async find(workers: number): Promise<EspeakNg | undefined> {
    const listed = await run(['--voices'], '', AbortSignal.timeout(VOICES_TIMEOUT_MS)).catch(
      () => undefined,
    );
    const languages = listed?.toString().matchAll(/^\s*\d+\s+([a-z]{2,3})\b/gmu) ?? [];
    const known = new Set([...languages].map((match) => match[1] ?? ''));
    return known.size === 0 ? undefined : new EspeakNg(known, workers);
  }

  /** Whether it has a voice for a language, ISO 639-1 with or without a region. */
  speaks(language: string): boolean {
    return this.#languages.has(base(language));
  }

  async synthesize(phrase: Phrase, signal: AbortSignal): Promise<SpeechAudio> {
    await this.#turn(signal);
    try {
      if (this.#isStopped) throw new Error('the engine was stopped');
      const args = ['--stdin', '--stdout', '-b', '1', '-v', this.#voiceFor(phrase)];
      const wav = await run(args, phrase.text, signal, this.#children);
      return speechFromWav(wav);
    } catch (error) {
      signal.throwIfAborted();
      throw error instanceof VoiceError ? error : failure(error);
    } finally {
      const next = this.#waiting.shift();
      if (next) next();
      else this.#active -= 1;
    }
  }

  async stop(): Promise<void> {
    this.#isStopped = true;
    for (const wake of this.#waiting.splice(0)) wake();
    const ends = [...this.#children].map(
      (child) => new Promise((resolve) => child.once('close', resolve)),
    );
    for (const child of this.#children) child.kill('SIGKILL');
    await Promise.all(ends);
  }

  #voiceFor({ voice, language }: Phrase): string {
    if (voice !== undefined && VOICE.test(voice) && this.speaks(voice)) return voice;
    return language !== undefined && this.speaks(language) ? base(language) : 'en';
  }

  /** Settles when a process may be started; those that wait go in order. */
  async #turn(signal: AbortSignal): Promise<void> {
    signal.throwIfAborted();
    if (this.#active < this.#workers) {
      this.#active += 1;
      return;
    }
    if (this.#waiting.length >= MAX_WAITING) {
      throw failure(new Error('too many phrases wait for espeak-ng'));
    }
    await new Promise<void>((resolve, reject) => {
      const onAbort = (): void => {
        this.#waiting.splice(this.#waiting.indexOf(wake), 1);
        reject(signal.reason);
      };
      const wake = (): void => {
        signal.removeEventListener('abort', onAbort);
        resolve();
      };
      this.#waiting.push(wake);
      signal.addEventListener('abort', onAbort, { once: true });
    });
  }
}

/** Its output. Killed when the signal aborts, or when it says too much. */
function run(
  args: readonly string[],
  input: string,
  signal: AbortSignal,
  children = new Set<ChildProcess>(),
): Promise<Buffer> {
  return new Promise((resolve, reject) => {
    const child = spawn(COMMAND, args, { stdio: ['pipe', 'pipe', 'ignore'], env: childEnv() });
    children.add(child);
    const parts: Buffer[] = [];
    let bytes = 0;
    const kill = (): void => {
      child.kill('SIGKILL');
      reject(signal.reason);
    };
    signal.addEventListener('abort', kill, { once: true });
    if (signal.aborted) kill();
    child.stdout.on('data', (part: Buffer) => {
      bytes += part.length;
      if (bytes > MAX_BYTES) child.kill('SIGKILL');
      else parts.push(part);
    });
    // It may end without having read everything; its exit tells.
    child.stdin.on('error', () => {});
    child.stdin.end(input);
    child.once('error', reject);
    child.once('close', (code, killedBy) => {
      children.delete(child);
      signal.removeEventListener('abort', kill);
      if (code === 0) return resolve(Buffer.concat(parts));
      reject(new Error(`${COMMAND} ended with ${killedBy ?? `code ${code}`}`));
    });
  });
}

/** The keys of this process are nothing to it. */
function childEnv(): NodeJS.ProcessEnv {
  const { PATH, ESPEAK_DATA_PATH } = process.env;
  return { PATH, ...(ESPEAK_DATA_PATH && { ESPEAK_DATA_PATH }) };
}

function base(language: string): string {
  return language.toLowerCase().split(/[-_+]/u)[0] ?? '';
}

function failure(cause: unknown): VoiceError {
  return new VoiceError('tts_failed', { cause });
}
