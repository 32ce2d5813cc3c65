import { pausesAround, quantiles } from './pauses.ts';
import type { ScenarioReport } from './report.ts';
import type { Speaker } from './speaker.ts';
import { addAccounts } from './word-account.ts';

/** One run of a scenario: gathers what was done and what came of it. */
export class Trial {
  readonly #name: string;
  readonly #seed: number;
  readonly #log: (line: string) => void;
  readonly #startMs = performance.now();
  readonly #faults: string[] = [];
  readonly #violations: string[] = [];
  readonly #notes: Record<string, number | string> = {};
  readonly #pausesMs: number[] = [];
  readonly #speakers: Speaker[] = [];
  #otherSessions = 0;

  constructor(name: string, seed: number, log: (line: string) => void) {
    this.#name = name;
    this.#seed = seed;
    this.#log = log;
  }

  /** Tells of a fault about to be made; returns its moment. */
  fault(what: string): number {
    this.#faults.push(what);
    this.#log(`${this.#name}: ${what}`);
    return performance.now();
  }

  note(name: string, value: number | string): void {
    this.#notes[name] = value;
  }

  /** `promise` is told as it is meant to be, with what was seen. */
  expect(kept: boolean, promise: string): void {
    if (!kept) this.#violations.push(promise);
  }

  /** Sessions that do not speak. */
  countSessions(count: number): void {
    this.#otherSessions += count;
  }

  /** Their sessions, words and failures are part of the report. */
  watch(speakers: readonly Speaker[]): void {
    this.#speakers.push(...speakers);
  }

  /** The pause of each of these speakers from the fault to `withinMs` later, which must be over. */
  measurePauses(speakers: readonly Speaker[], faultMs: number, withinMs: number): void {
    this.#pausesMs.push(...pausesAround(speakers, faultMs, withinMs));
  }

  /** Pauses longer than this are broken promises. Where the machine is busy with other things it is not judged. */
  expectPauses(limits: { p95Ms: number; maxMs: number }): void {
    const pauses = quantiles(this.#pausesMs);
    if (pauses === undefined) return this.expect(false, 'no pause was measured');
    const { p95Ms, maxMs } = pauses;
    this.expect(p95Ms <= limits.p95Ms, `pause P95 ${p95Ms.toFixed(0)} <= ${limits.p95Ms} ms`);
    this.expect(maxMs <= limits.maxMs, `pause max ${maxMs.toFixed(0)} <= ${limits.maxMs} ms`);
  }

  /** To be taken when all speakers have stopped: no session may have failed, and every word must be there once, in order. */
  report(): ScenarioReport {
    const words = addAccounts(this.#speakers.flatMap((speaker) => speaker.accounts()));
    const failed = this.#speakers.filter(({ failures }) => failures.length > 0);
    const wrong = words.lost + words.doubled + words.reordered + words.foreign;
    this.expect(wrong === 0, `every word once and in order, ${wrong} were not`);
    for (const [failure, count] of countEach(failed.flatMap(({ failures }) => failures)))
      this.expect(false, `all sessions live, ${count} did not: ${failure}`);
    return {
      name: this.#name,
      seed: this.#seed,
      faults: this.#faults,
      sessions: this.#speakers.length + this.#otherSessions,
      failedSessions: failed.length,
      words,
      pauses: quantiles(this.#pausesMs),
      notes: this.#notes,
      violations: this.#violations,
      tookS: (performance.now() - this.#startMs) / 1000,
    };
  }
}

/** How often each value is there, in the order in which they come first. */
export function countEach(values: readonly string[]): Map<string, number> {
  const counts = new Map<string, number>();
  for (const value of values) counts.set(value, (counts.get(value) ?? 0) + 1);
  return counts;
}
