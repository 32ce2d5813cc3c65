import {
  Histogram,
  type HistogramConfiguration,
  type LabelValues,
  type Registry,
} from 'prom-client';

/** The trace that is under way where it is called; undefined when none is, or tracing is off. */
export type CurrentTraceId = () => string | undefined;

export interface LatencyOptions<Label extends string> {
  readonly name: string;
  readonly help: string;
  readonly labelNames?: readonly Label[];
  /** In seconds. */
  readonly buckets: readonly number[];
  readonly registers: readonly Registry[];
  readonly currentTraceId: CurrentTraceId;
}

/** A histogram of times that names, for each of its buckets, the trace of the last time it counted: an exemplar of OpenMetrics. */
export class LatencyHistogram<Label extends string = string> extends Histogram<Label> {
  readonly #currentTraceId: CurrentTraceId;

  constructor({ registers, currentTraceId, labelNames, buckets, ...rest }: LatencyOptions<Label>) {
    const config: HistogramConfiguration<Label> = {
      ...rest,
      buckets: [...buckets],
      ...(labelNames && { labelNames }),
      enableExemplars: true,
      registers: [],
    };
    super(config);
    // By itself it would join only a registry whose page is always in OpenMetrics; see `metricsPage`.
    for (const registry of registers) registry.registerMetric(this);
    this.#currentTraceId = currentTraceId;
  }

  /** `traceId`: where none is current, as in a callback of a timer. */
  record(seconds: number, labels: LabelValues<Label> = {}, traceId = this.#currentTraceId()): void {
    const exemplarLabels: Record<string, string> =
      traceId === undefined ? {} : { trace_id: traceId };
    this.observe({ labels, value: seconds, exemplarLabels: exemplarLabels as LabelValues<Label> });
  }
}
