import {
  Histogram,
  type HistogramConfiguration,
  type LabelValues,
  type Registry,
} from 'prom-client';

export interface LatencyOptions<Label extends string> {
  readonly name: string;
  readonly help: string;
  readonly labelNames?: readonly Label[];
  /** In seconds. */
  readonly buckets: readonly number[];
  readonly registers: readonly Registry[];
}

/** A histogram of times that names, for each of its buckets, the trace of the last time it counted: an exemplar of OpenMetrics. */
export class LatencyHistogram<Label extends string = string> extends Histogram<Label> {
  constructor({ registers, labelNames, buckets, ...rest }: LatencyOptions<Label>) {
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
  }

  /** `traceId`: of the span that took so long; undefined when none is kept. */
  record(seconds: number, labels: LabelValues<Label> = {}, traceId?: string): void {
    const exemplarLabels: Record<string, string> =
      traceId === undefined ? {} : { trace_id: traceId };
    this.observe({ labels, value: seconds, exemplarLabels: exemplarLabels as LabelValues<Label> });
  }
}
