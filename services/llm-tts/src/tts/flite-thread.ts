import type { Worker } from 'node:worker_threads';
import { startThread } from '@voice-fleet/runtime/thread';
import type { FliteJob, FliteResult } from './flite-job.ts';
import type { FliteVoice } from './tts-env.ts';
import type { WasmModule } from './wasm.ts';

interface Running {
  readonly id: number;
  resolve(wav: Buffer): void;
  reject(error: Error): void;
}

/** One thread that runs flite, started when first needed and again when one died. */
export class FliteThread {
  readonly #module: WasmModule;
  readonly #startWorker: (workerData: object) => Worker;
  #worker: Worker | undefined;
  #running: Running | undefined;
  #lastId = 0;

  constructor(module: WasmModule, start = startFlite) {
    this.#module = module;
    this.#startWorker = start;
  }

  get isBusy(): boolean {
    return this.#running !== undefined;
  }

  /** One at a time. Rejects when flite fails or its thread dies. */
  speak(text: string, voice: FliteVoice): Promise<Buffer> {
    if (this.#running) throw new Error('the thread of flite is busy');
    this.#worker ??= this.#start();
    const job: FliteJob = { id: ++this.#lastId, text, voice };
    this.#worker.postMessage(job);
    return new Promise((resolve, reject) => {
      this.#running = { id: job.id, resolve, reject };
    });
  }

  /** Ends what it does; the next phrase has a new thread. Settles when this one is gone. */
  async stop(): Promise<void> {
    const worker = this.#worker;
    this.#lose(new Error('the thread of flite was stopped'));
    await worker?.terminate();
  }

  #start(): Worker {
    const worker = this.#startWorker({ module: this.#module });
    const isOurs = (): boolean => this.#worker === worker;
    worker.on('message', (result: FliteResult) => {
      if (isOurs()) this.#receive(result);
    });
    worker.on('error', (error) => {
      if (isOurs()) this.#lose(error as Error);
    });
    worker.on('exit', (code) => {
      if (isOurs()) this.#lose(new Error(`the thread of flite ended with code ${code}`));
    });
    return worker;
  }

  #receive(result: FliteResult): void {
    const running = this.#running;
    if (running?.id !== result.id) return;
    this.#running = undefined;
    if (result.kind === 'failed') return running.reject(new Error(result.reason));
    const { buffer, byteOffset, byteLength } = result.wav;
    running.resolve(Buffer.from(buffer, byteOffset, byteLength));
  }

  #lose(error: Error): void {
    const running = this.#running;
    this.#worker = undefined;
    this.#running = undefined;
    running?.reject(error);
  }
}

function startFlite(workerData: object): Worker {
  return startThread(import.meta.url, 'flite-worker', workerData);
}
