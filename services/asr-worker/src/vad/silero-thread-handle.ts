import { env } from 'node:process';
import type { Worker } from 'node:worker_threads';
import type { Clock, Timer } from '@voice-fleet/runtime/clock';
import { startThread } from '@voice-fleet/runtime/thread';
import { buffersOf, type FromSilero, type SileroStep, type ToSilero } from './silero-messages.ts';

/** To load the network; it takes 0.2 s. */
const START_TIMEOUT_MS = 20_000;
/** A step takes 5 ms. */
const STEP_TIMEOUT_MS = 5_000;
/**
 * ONNX Runtime 1.30 tells its makers of each process that uses it, and keeps an id of the machine in the user's home. It reads
 * this of the process, whose variables a thread cannot change.
 */
const NO_TELEMETRY = 'ORT_DISABLE_TELEMETRY';

export interface ThreadListener {
  onReady(): void;
  /** Its buffers are given back with it. */
  onStep(step: SileroStep): void;
  /** Once, unless it was stopped: it ended, or does not answer. Says how. */
  onDown(how: string): void;
}

/** One thread in which Silero runs. */
export class SileroThread {
  readonly #worker: Worker;
  readonly #clock: Clock;
  readonly #listener: ThreadListener;
  #patience: Timer | undefined;
  #over = false;

  constructor(clock: Clock, listener: ThreadListener) {
    this.#clock = clock;
    this.#listener = listener;
    env[NO_TELEMETRY] ??= '1';
    this.#worker = startThread(import.meta.url, 'silero-thread');
    this.#worker.on('message', (message: FromSilero) => this.#onMessage(message));
    this.#worker.once('error', (error) => this.#down(error.message));
    this.#worker.once('exit', (code) => this.#down(`exit code ${code}`));
    this.#expect(START_TIMEOUT_MS, 'it did not start in time');
  }

  /** Hands the buffers over until they come back with `onStep`. One step at a time. */
  step(step: SileroStep): void {
    this.#send(step, buffersOf(step));
    this.#expect(STEP_TIMEOUT_MS, 'it does not answer');
  }

  forget(stream: number): void {
    this.#send({ kind: 'forget', stream });
  }

  /** Ends it without a word; settles when it is gone. */
  async stop(): Promise<void> {
    this.#over = true;
    this.#patience?.cancel();
    await this.#worker.terminate();
  }

  #send(message: ToSilero, transfer: ArrayBuffer[] = []): void {
    this.#worker.postMessage(message, transfer);
  }

  #onMessage(message: FromSilero): void {
    if (this.#over) return;
    this.#patience?.cancel();
    if (message.kind === 'ready') this.#listener.onReady();
    else this.#listener.onStep(message);
  }

  #expect(withinMs: number, orElse: string): void {
    this.#patience = this.#clock.after(withinMs, () => this.#down(orElse));
  }

  #down(how: string): void {
    if (this.#over) return;
    void this.stop();
    this.#listener.onDown(how);
  }
}
