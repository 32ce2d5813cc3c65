import { request } from 'node:http';
import { connect } from 'node:net';
import type { Clock, Timer } from '@voice-fleet/runtime/clock';
import type { Probe } from './objects.ts';

const MS = 1000;

export interface ProbeLoopOptions {
  readonly clock: Clock;
  readonly probe: Probe;
  /** How long ago the container was started. */
  readonly ageMs: number;
  /** One try. Rejects, or says no, when the container does not answer well; the signal ends it. */
  readonly attempt: (signal: AbortSignal) => Promise<boolean>;
  /** The verdict, when as many tries in a row as the probe asks for agree; and again each time that they do. */
  readonly onVerdict: (well: boolean) => void;
  /** Of each try. */
  readonly onTry?: (well: boolean) => void;
}

/** Tries a container in turns, as a kubelet does: the first time at once, or after the initial delay. */
export class ProbeLoop {
  readonly #options: ProbeLoopOptions;
  readonly #end = new AbortController();
  #timer: Timer | undefined;
  #trying = false;
  #last: boolean | undefined;
  #inARow = 0;

  constructor(options: ProbeLoopOptions) {
    this.#options = options;
    const { clock, probe, ageMs } = options;
    const delayMs = Math.max(0, probe.initialDelaySeconds * MS - ageMs);
    this.#timer = clock.after(delayMs, () => {
      this.#timer = clock.every(probe.periodSeconds * MS, () => void this.#try());
      void this.#try();
    });
  }

  stop(): void {
    this.#timer?.cancel();
    this.#end.abort();
  }

  async #try(): Promise<void> {
    // A try that is late stands for those it has delayed.
    if (this.#trying) return;
    this.#trying = true;
    const { clock, probe, attempt, onTry, onVerdict } = this.#options;
    const late = new AbortController();
    const timer = clock.after(probe.timeoutSeconds * MS, () => late.abort());
    const signal = AbortSignal.any([late.signal, this.#end.signal]);
    const well = await attempt(signal).catch(() => false);
    timer.cancel();
    this.#trying = false;
    if (this.#end.signal.aborted) return;
    onTry?.(well);
    this.#inARow = well === this.#last ? this.#inARow + 1 : 1;
    this.#last = well;
    if (this.#inARow >= (well ? probe.successThreshold : probe.failureThreshold)) onVerdict(well);
  }
}

/** A status from 200 to 399 is well. */
export function httpAttempt(
  url: URL,
  headers: Readonly<Record<string, string>>,
  signal: AbortSignal,
): Promise<boolean> {
  return new Promise((resolve, reject) => {
    const asked = request(url, { headers, signal, agent: false }, (answer) => {
      const { statusCode = 0 } = answer;
      answer.resume();
      answer.once('error', reject);
      answer.once('end', () => resolve(statusCode >= 200 && statusCode < 400));
    });
    asked.once('error', reject);
    asked.end();
  });
}

export function tcpAttempt(host: string, port: number, signal: AbortSignal): Promise<boolean> {
  return new Promise((resolve, reject) => {
    const socket = connect({ host, port, signal });
    socket.once('error', reject);
    socket.once('connect', () => {
      socket.destroy();
      resolve(true);
    });
  });
}
