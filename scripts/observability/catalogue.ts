import { WorkerMetrics } from '@voice-fleet/asr-worker/metrics';
import { LoadMetrics } from '@voice-fleet/client/load/load-metrics';
import { GatewayMetrics } from '@voice-fleet/gateway/metrics';
import { LlmTtsMetrics } from '@voice-fleet/llm-tts/metrics';
import type { Registry } from 'prom-client';
import { CAUSE_GROUPS } from './causes.ts';
import { EXTERNAL_METRICS } from './external.ts';
import { SLO_GROUPS } from './slo.ts';

export type MetricKind = 'counter' | 'gauge' | 'histogram' | 'summary' | 'recorded';

/** What services and load tests declare: name to kind. Metrics of Node included. */
export async function ownMetrics(): Promise<ReadonlyMap<string, MetricKind>> {
  const registries: Registry[] = [
    new GatewayMetrics(['yap']).registry,
    new WorkerMetrics().registry,
    new LlmTtsMetrics().registry,
    new LoadMetrics('any').registry,
  ];
  const pages = await Promise.all(registries.map((registry) => registry.getMetricsAsJSON()));
  return new Map(
    pages.flat().map(({ name, type }) => [name, type as unknown as MetricKind] as const),
  );
}

/** All that rules and dashboards may name: of services, recorded, and of others. */
export async function catalogue(): Promise<ReadonlyMap<string, MetricKind>> {
  const recorded = [...SLO_GROUPS, ...CAUSE_GROUPS]
    .flatMap(({ rules }) => rules)
    .flatMap((rule) => ('record' in rule ? [[rule.record, 'recorded'] as const] : []));
  const external = Object.values(EXTERNAL_METRICS).flatMap((metrics) => Object.entries(metrics));
  // Prometheus's own, of alerts.
  return new Map([...(await ownMetrics()), ...recorded, ...external, ['ALERTS', 'gauge']]);
}

const WORDS = new Set(
  'sum max min count topk rate increase changes absent max_over_time histogram_quantile scalar vector time by on ignoring group_left and or unless'.split(
    ' ',
  ),
);

/** Names of series in a query of PromQL, as often as they stand there. */
export function seriesOf(expr: string): string[] {
  const bare = expr
    .replace(/"(?:[^"\\]|\\.)*"/g, '')
    .replace(/\{[^}]*\}/g, '')
    .replace(/\[[^\]]*\]/g, '')
    .replace(/\b(?:by|on|ignoring|group_left)\s*\([^)]*\)/g, '');
  return [...bare.matchAll(/[a-zA-Z_][\w:]*/g)]
    .map(([name]) => name)
    .filter((name) => !WORDS.has(name));
}

/** The metric of a series: of a histogram it is known by its buckets, sum and count. */
export function metricOf(
  series: string,
  known: ReadonlyMap<string, MetricKind>,
): string | undefined {
  if (known.has(series)) return series;
  const base = series.replace(/_(?:bucket|sum|count)$/, '');
  const kind = known.get(base);
  return kind === 'histogram' || kind === 'summary' ? base : undefined;
}
