import { showBuild } from '@voice-fleet/telemetry/build-info';
import { collectNodeMetrics } from '@voice-fleet/telemetry/metrics-page';
import { Counter, Gauge, Histogram, Registry } from 'prom-client';
import { LOAD_OUTCOMES, type LoadOutcome } from './load-run.ts';

/** Those of the worker, so that both sides compare. */
const LATENCY_BUCKETS_S = [0.05, 0.1, 0.2, 0.3, 0.5, 0.8, 1, 1.5, 2, 3, 5, 10];

/** Every metric of a load test, for one that runs one scenario. */
export class LoadMetrics {
  readonly registry = new Registry();
  readonly #scenario: string;
  readonly #registers = [this.registry];

  readonly #active = new Gauge({
    name: 'voice_loadtest_sessions_active',
    help: 'Sessions that the load test has begun and not yet seen end.',
    labelNames: ['scenario'],
    registers: this.#registers,
  });
  readonly #sessions = new Counter({
    name: 'voice_loadtest_sessions_total',
    help: 'Sessions of the load test by how they ended. refused: for lack of capacity, by a limit or as nobody is admitted now. stopped: cut off when the test was ended. skipped: not begun, as too many ran.',
    labelNames: ['outcome', 'scenario'],
    registers: this.#registers,
  });
  readonly #admission = this.#latency(
    'voice_loadtest_admission_seconds',
    'From dialling to an admitted session, as a client sees it.',
  );
  readonly #firstPartial = this.#latency(
    'voice_loadtest_first_partial_seconds',
    'From the first audio of an utterance to its first word, as a client sees it.',
  );
  readonly #final = this.#latency(
    'voice_loadtest_final_latency_seconds',
    'From the end of an utterance to its final transcript, as a client sees it.',
  );
  readonly #audio = new Counter({
    name: 'voice_loadtest_audio_seconds_total',
    help: 'Length of the utterances that were transcribed to their end.',
    labelNames: ['scenario'],
    registers: this.#registers,
  });

  constructor(scenario: string) {
    this.#scenario = scenario;
    showBuild(this.registry, 'loadtest', '');
    collectNodeMetrics(this.registry);
    this.#active.labels(scenario).set(0);
    for (const outcome of LOAD_OUTCOMES) this.#sessions.labels(outcome, scenario).inc(0);
    this.#audio.labels(scenario).inc(0);
    for (const times of [this.#admission, this.#firstPartial, this.#final])
      times.zero({ scenario });
  }

  begun(): void {
    this.#active.labels(this.#scenario).inc();
  }

  over(outcome: LoadOutcome): void {
    this.#sessions.labels(outcome, this.#scenario).inc();
    if (outcome !== 'skipped') this.#active.labels(this.#scenario).dec();
  }

  admitted(ms: number): void {
    this.#admission.labels(this.#scenario).observe(ms / 1000);
  }

  uttered(times: { audioS: number; ttfwMs: number | undefined; flushToFinalMs: number }): void {
    if (times.ttfwMs !== undefined)
      this.#firstPartial.labels(this.#scenario).observe(times.ttfwMs / 1000);
    this.#final.labels(this.#scenario).observe(times.flushToFinalMs / 1000);
    this.#audio.labels(this.#scenario).inc(times.audioS);
  }

  #latency(name: string, help: string): Histogram<'scenario'> {
    return new Histogram({
      name,
      help,
      labelNames: ['scenario'],
      buckets: LATENCY_BUCKETS_S,
      registers: this.#registers,
    });
  }
}
