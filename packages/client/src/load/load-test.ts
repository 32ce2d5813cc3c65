import { setMaxListeners } from 'node:events';
import type { Clock } from '@voice-fleet/runtime/clock';
import { turned } from '../server-url.ts';
import type { OpenOptions } from '../transcribe.ts';
import { type GeneratorReport, GeneratorWatch } from './generator.ts';
import { Latencies } from './latencies.ts';
import type { LoadMetrics } from './load-metrics.ts';
import { type LoadListener, runLoad } from './load-run.ts';
import { type LoadRecording, loadSession } from './load-session.ts';
import { type LoadReport, LoadTally } from './load-tally.ts';
import type { Scenario } from './scenario.ts';
import { SpeechPace } from './speech-pace.ts';

export interface LoadTestOptions {
  readonly scenario: Scenario;
  /** Sessions take them in turn. */
  readonly recordings: readonly [LoadRecording, ...LoadRecording[]];
  /** As each session connects, but for its key. */
  readonly connect: OpenOptions & { readonly urls: readonly [URL, ...URL[]] };
  /** Sessions take them in turn; several are of several tenants. */
  readonly keys: readonly (string | undefined)[];
  readonly speed: number;
  readonly maxSessions: number;
  readonly clock: Clock;
  readonly metrics: LoadMetrics | undefined;
  /** Aborting ends the schedule gently. */
  readonly stop: AbortSignal;
  readonly graceMs: number;
  /** Aborting cuts off all sessions. */
  readonly signal: AbortSignal;
}

export interface LoadTestResult extends LoadReport {
  /** Milliseconds since the Unix epoch. */
  readonly startedAtMs: number;
  readonly elapsedS: number;
  readonly generator: GeneratorReport;
}

/** One run of a scenario. */
export class LoadTest {
  readonly tally: LoadTally;
  readonly #options: LoadTestOptions;
  readonly #frameLate = new Latencies();
  readonly #pace: SpeechPace;
  readonly #cut = new AbortController();

  constructor(options: LoadTestOptions) {
    this.#options = options;
    this.tally = new LoadTally(options.scenario.phases, options.recordings);
    // Each session listens.
    setMaxListeners(0, this.#cut.signal);
    this.#pace = new SpeechPace(options.clock, this.#frameLate, options.speed);
  }

  /** Settles when the last session has ended; whatever becomes of sessions is in the result. */
  async run(): Promise<LoadTestResult> {
    const { clock, scenario, maxSessions, stop, graceMs, signal } = this.#options;
    const watch = new GeneratorWatch();
    const cut = (): void => this.#cut.abort(signal.reason);
    signal.addEventListener('abort', cut, { once: true });
    if (signal.aborted) cut();
    const startedAtMs = clock.wallNow();
    const startMs = clock.now();
    try {
      await runLoad({
        phases: scenario.phases,
        clock,
        maxSessions,
        stop,
        graceMs,
        cut: this.#cut,
        listener: this.#listener(),
        runSession: (index, phase, ending) => this.#session(index, phase, ending),
      });
      return {
        ...this.tally.report,
        startedAtMs,
        elapsedS: (clock.now() - startMs) / 1000,
        generator: watch.report(this.#frameLate, this.tally.startLate),
      };
    } finally {
      watch.stop();
      signal.removeEventListener('abort', cut);
    }
  }

  #listener(): LoadListener {
    const { tally } = this;
    const { metrics } = this.#options;
    return {
      begun: (phase, lateMs) => {
        tally.begun(phase, lateMs);
        metrics?.begun();
      },
      over: (phase, outcome, code) => {
        tally.over(phase, outcome, code);
        metrics?.over(outcome);
      },
    };
  }

  async #session(index: number, phase: number, ending: AbortSignal): Promise<void> {
    const { connect, keys, recordings, scenario, speed, clock, metrics } = this.#options;
    const { tally } = this;
    const recording = recordings[index % recordings.length] ?? recordings[0];
    const continuity = await loadSession({
      ...connect,
      urls: turned(connect.urls, index),
      apiKey: keys[index % keys.length],
      signal: this.#cut.signal,
      clock,
      pace: this.#pace,
      speed,
      recording,
      utterances: scenario.utterances,
      thinkMs: scenario.thinkSeconds * 1000,
      ending,
      onAdmitted: (ms) => {
        tally.admitted(phase, ms);
        metrics?.admitted(ms);
      },
      onUtterance: (utterance) => {
        tally.uttered(phase, recording, utterance);
        metrics?.uttered(utterance.metrics);
      },
    });
    if (continuity) tally.resumed(continuity);
  }
}
