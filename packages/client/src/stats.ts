/** The value at quantile `q` by nearest rank over n-1; `undefined` for no values. */
export function percentile(values: readonly number[], q: number): number | undefined {
  const sorted = [...values].sort((a, b) => a - b);
  return sorted[Math.round(q * (sorted.length - 1))];
}

export function average(values: readonly number[]): number | undefined {
  if (values.length === 0) return undefined;
  return values.reduce((sum, value) => sum + value, 0) / values.length;
}

export interface Summary {
  readonly avg: number;
  readonly p50: number;
  readonly p95: number;
}

/** `undefined` when there is nothing to summarise, so that no row shows a zero nobody measured. */
export function summarize(values: readonly number[]): Summary | undefined {
  const avg = average(values);
  const p50 = percentile(values, 0.5);
  const p95 = percentile(values, 0.95);
  if (avg === undefined || p50 === undefined || p95 === undefined) return undefined;
  return { avg, p50, p95 };
}
