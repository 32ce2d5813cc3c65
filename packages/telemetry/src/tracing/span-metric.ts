import { Counter, type Registry } from 'prom-client';
import { NO_TRACER, type Tracer } from './tracer.ts';

const OUTCOMES = ['exported', 'dropped', 'failed'] as const;

/** What became of a service's spans. */
export class SpanMetric {
  #tracer: Pick<Tracer, 'counts'> = NO_TRACER;

  constructor(registry: Registry) {
    const of = (): Pick<Tracer, 'counts'> => this.#tracer;
    new Counter({
      name: 'voice_trace_spans_total',
      help: 'Spans: exported, dropped as too many waited, failed as the collector did not take them.',
      labelNames: ['outcome'],
      registers: [registry],
      collect() {
        const { counts } = of();
        this.reset();
        for (const outcome of OUTCOMES) this.labels(outcome).inc(counts[outcome]);
      },
    });
  }

  /** Tells of this tracer's from now on. */
  watch(tracer: Pick<Tracer, 'counts'>): void {
    this.#tracer = tracer;
  }
}
