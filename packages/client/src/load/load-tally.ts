import type { YapContinuity } from '../continuity.ts';
import { Latencies, type LatencySummary } from './latencies.ts';
import { LOAD_OUTCOMES, type LoadListener, type LoadOutcome } from './load-run.ts';
import type { LoadRecording, LoadUtterance } from './load-session.ts';
import { countArrivals, type Phase } from './schedule.ts';
import { TranscriptTally, type WordsReport } from './words.ts';

export type LoadCounts = Readonly<Record<LoadOutcome, number>> & { readonly begun: number };

export interface LoadLatencies {
  /** Dial → `session.created`. */
  readonly admissionMs: LatencySummary | undefined;
  /** First audio → first word. */
  readonly firstPartialMs: LatencySummary | undefined;
  /** End of the utterance → final. */
  readonly finalMs: LatencySummary | undefined;
}

export interface LoadFigures {
  readonly sessions: LoadCounts;
  /** How often each code was met. */
  readonly refusals: Readonly<Record<string, number>>;
  readonly errors: Readonly<Record<string, number>>;
  readonly latency: LoadLatencies;
}

export interface LoadReport extends LoadFigures {
  /** Sessions that were open at a time. */
  readonly peakSessions: number;
  readonly utterances: number;
  readonly audioS: number;
  /** Audio that the fleet dropped under overload. */
  readonly droppedS: number;
  readonly resumes: { readonly count: number; readonly pausesMs: LatencySummary | undefined };
  readonly words: readonly WordsReport[];
  readonly phases: readonly (Phase & { readonly asked: number } & LoadFigures)[];
}

/** The figures of one phase: what became of the sessions that began in it. */
class PhaseTally {
  readonly admission = new Latencies();
  readonly firstPartial = new Latencies();
  readonly final = new Latencies();
  readonly codes = { refused: new Map<string, number>(), failed: new Map<string, number>() };
  readonly counts: Record<LoadOutcome, number> = {
    completed: 0,
    refused: 0,
    failed: 0,
    stopped: 0,
    skipped: 0,
  };
  begun = 0;

  over(outcome: LoadOutcome, code: string | undefined): void {
    this.counts[outcome] += 1;
    if (code === undefined || (outcome !== 'refused' && outcome !== 'failed')) return;
    const codes = this.codes[outcome];
    codes.set(code, (codes.get(code) ?? 0) + 1);
  }

  add(other: PhaseTally): void {
    this.begun += other.begun;
    for (const outcome of LOAD_OUTCOMES) this.counts[outcome] += other.counts[outcome];
    this.admission.add(other.admission);
    this.firstPartial.add(other.firstPartial);
    this.final.add(other.final);
    for (const kind of ['refused', 'failed'] as const)
      for (const [code, count] of other.codes[kind])
        this.codes[kind].set(code, (this.codes[kind].get(code) ?? 0) + count);
  }

  get figures(): LoadFigures {
    return {
      sessions: { begun: this.begun, ...this.counts },
      refusals: Object.fromEntries(this.codes.refused),
      errors: Object.fromEntries(this.codes.failed),
      latency: {
        admissionMs: this.admission.summary,
        firstPartialMs: this.firstPartial.summary,
        finalMs: this.final.summary,
      },
    };
  }
}

/** Adds up what happens in a load test. Its size does not grow with the number of sessions. */
export class LoadTally implements LoadListener {
  /** How long after their moment sessions began. */
  readonly startLate = new Latencies();
  readonly #plan: readonly Phase[];
  readonly #phases: readonly PhaseTally[];
  readonly #words = new Map<string, TranscriptTally>();
  readonly #pauses = new Latencies();
  #active = 0;
  #peak = 0;
  #resumes = 0;
  #utterances = 0;
  #audioS = 0;
  #droppedS = 0;

  constructor(phases: readonly Phase[], recordings: readonly LoadRecording[]) {
    this.#plan = phases;
    this.#phases = phases.map(() => new PhaseTally());
    for (const { name, reference } of recordings)
      this.#words.set(name, new TranscriptTally(name, reference));
  }

  get active(): number {
    return this.#active;
  }

  begun(phase: number, lateMs: number): void {
    this.startLate.record(lateMs);
    this.#of(phase).begun += 1;
    this.#active += 1;
    this.#peak = Math.max(this.#peak, this.#active);
  }

  over(phase: number, outcome: LoadOutcome, code?: string): void {
    this.#of(phase).over(outcome, code);
    if (outcome !== 'skipped') this.#active -= 1;
  }

  admitted(phase: number, ms: number): void {
    this.#of(phase).admission.record(ms);
  }

  uttered(phase: number, { name }: LoadRecording, utterance: LoadUtterance): void {
    const { metrics, transcript, droppedS } = utterance;
    const of = this.#of(phase);
    if (metrics.ttfwMs !== undefined) of.firstPartial.record(metrics.ttfwMs);
    of.final.record(metrics.flushToFinalMs);
    this.#utterances += 1;
    this.#audioS += metrics.audioS;
    this.#droppedS += droppedS;
    this.#words.get(name)?.add(transcript);
  }

  resumed({ resumes, pausesMs }: YapContinuity): void {
    this.#resumes += resumes;
    for (const ms of pausesMs) this.#pauses.record(ms);
  }

  /** So far, over all phases. */
  get counts(): LoadCounts {
    const sum = { begun: 0, completed: 0, refused: 0, failed: 0, stopped: 0, skipped: 0 };
    for (const { begun, counts } of this.#phases) {
      sum.begun += begun;
      for (const outcome of LOAD_OUTCOMES) sum[outcome] += counts[outcome];
    }
    return sum;
  }

  get report(): LoadReport {
    const all = new PhaseTally();
    for (const phase of this.#phases) all.add(phase);
    return {
      ...all.figures,
      peakSessions: this.#peak,
      utterances: this.#utterances,
      audioS: this.#audioS,
      droppedS: this.#droppedS,
      resumes: { count: this.#resumes, pausesMs: this.#pauses.summary },
      words: [...this.#words.values()].map(({ report }) => report),
      phases: this.#plan.map((phase, index) => ({
        ...phase,
        asked:
          countArrivals(this.#plan.slice(0, index + 1)) - countArrivals(this.#plan.slice(0, index)),
        ...this.#of(index).figures,
      })),
    };
  }

  #of(phase: number): PhaseTally {
    const found = this.#phases[phase];
    if (!found) throw new Error(`There is no phase ${phase}.`);
    return found;
  }
}
