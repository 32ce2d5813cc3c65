import {
  collectDefaultMetrics,
  type Metric,
  type OpenMetricsContentType,
  Registry,
} from 'prom-client';

/** Gauges of Node that are named like counters, which linters take for mistakes: each is the sum of one without `_total`. */
const MISNAMED = [
  'nodejs_active_handles_total',
  'nodejs_active_requests_total',
  'nodejs_active_resources_total',
];

/** Has the registry tell of Node itself: processor time, memory, event loop, garbage collection. */
export function collectNodeMetrics(registry: Registry): void {
  collectDefaultMetrics({ register: registry });
  for (const name of MISNAMED) registry.removeSingleMetric(name);
}

export interface MetricsPage {
  readonly contentType: string;
  readonly text: string;
}

/** The page of `/metrics` as the `accept` header wishes it: OpenMetrics has exemplars, the older text format is what all else reads. */
export async function metricsPage(
  registry: Registry,
  accept: string | undefined,
): Promise<MetricsPage> {
  if (!accept?.includes('application/openmetrics-text'))
    return { contentType: registry.contentType, text: await registry.metrics() };
  const page = new Registry<OpenMetricsContentType>();
  page.setContentType(Registry.OPENMETRICS_CONTENT_TYPE);
  for (const metric of registry.getMetricsAsArray()) page.registerMetric(family(metric));
  return { contentType: page.contentType, text: await page.metrics() };
}

type Values = Awaited<ReturnType<Metric['get']>>;

/** In OpenMetrics a counter goes by its name without `_total`. prom-client would rename the counter itself, and so that of the other format. */
function family(metric: unknown): Metric {
  const source = metric as Metric & { readonly name: string };
  const get = async (): Promise<Values> => {
    const found = await source.get();
    const isCounter = (found.type as unknown) === 'counter';
    return isCounter ? { ...found, name: found.name.replace(/_total$/, '') } : found;
  };
  return { name: source.name, get } as unknown as Metric;
}
