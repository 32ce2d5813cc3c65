import type { Query } from './dashboard.ts';

/** Of the fleets that are chosen. */
const FLEET = 'namespace=~"$namespace",fleet=~"$fleet"';

/** One metric of the fleet's own, of the fleets and jobs that are chosen. */
export const own = (metric: string, matchers = ''): string =>
  `${metric}{${FLEET},job=~"$job"${matchers && `,${matchers}`}}`;

/** One metric of vLLM, which has the labels that the chart gives it; on one machine it has none of them. */
export const ofVllm = (metric: string): string => `${metric}{${FLEET},pool=~"$pool"}`;

/** A series that rules have recorded. */
export const recordedOf = (series: string, matchers = ''): string =>
  `${series}{${FLEET}${matchers && `,${matchers}`}}`;

/**
 * Metrics of programs that tell of objects in the namespaces that are chosen: `read` gets the matchers. Prometheus puts
 * its own `namespace` in place of theirs, which becomes `exported_namespace`, unless it is told to honour theirs.
 */
export const ofNamespaces = (read: (matchers: string) => string): string =>
  `(${read('exported_namespace=~"$namespace"')} or ${read('namespace=~"$namespace",exported_namespace=""')})`;

/** And of the pools that are chosen. */
export const ofPool = (metric: string, matchers = ''): string =>
  own(metric, `pool=~"$pool"${matchers && `,${matchers}`}`);

export const rate = (selector: string): string => `rate(${selector}[$__rate_interval])`;

export const sum = (inner: string, by = ''): string => `sum${by && ` by (${by})`} (${inner})`;

/** Events in a second. */
export const perSecond = (selector: string, by = ''): string => sum(rate(selector), by);

/** `bucket` gives the selector of the histogram's buckets. */
export const quantile = (q: number, bucket: string, by = ''): string =>
  `histogram_quantile(${q}, ${sum(rate(bucket), by ? `le, ${by}` : 'le')})`;

/** Median, 95 and 99 of a hundred. */
export const quantiles = (bucket: string): Query[] =>
  [0.5, 0.95, 0.99].map((q) => ({ expr: quantile(q, bucket), legend: `p${q * 100}` }));

/** One line for each value of a label. */
export const by = (label: string, expr: string): Query[] => [{ expr, legend: `{{${label}}}` }];

export const one = (legend: string, expr: string): Query => ({ expr, legend });
