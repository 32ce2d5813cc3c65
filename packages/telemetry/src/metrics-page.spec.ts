import { beforeEach, describe, expect, it } from '@jest/globals';
import { Counter, Registry } from 'prom-client';
import { LatencyHistogram } from './latency-histogram.ts';
import { collectNodeMetrics, metricsPage } from './metrics-page.ts';

const PROMETHEUS_ASKS =
  'application/openmetrics-text;version=1.0.0,application/openmetrics-text;version=0.0.1;q=0.75,text/plain;version=0.0.4;q=0.5,*/*;q=0.1';
const TRACE = '0af7651916cd43dd8448eb211c80319c';

describe('the page of metrics', () => {
  let registry: Registry;
  let latency: LatencyHistogram<'model'>;

  beforeEach(() => {
    registry = new Registry();
    latency = new LatencyHistogram({
      name: 'wait_seconds',
      help: 'Waiting.',
      labelNames: ['model'],
      buckets: [0.1, 1],
      registers: [registry],
    });
    new Counter({ name: 'words_total', help: 'Words.', registers: [registry] }).inc(3);
  });

  it('names, for each bucket, the trace of the last time it counted', async () => {
    latency.record(0.5, { model: 'a' }, TRACE);
    latency.record(0.6, { model: 'a' }, 'f'.repeat(32));
    const { text } = await metricsPage(registry, PROMETHEUS_ASKS);
    const line = text.split('\n').find((one) => one.includes('le="1",model="a"'));
    expect(line).toMatch(
      /^wait_seconds_bucket\{le="1",model="a"\} 2 # \{trace_id="f{32}"\} 0\.6 \d+(\.\d+)?$/,
    );
    expect(text.match(/trace_id/g)).toHaveLength(1);
  });

  it('names a trace beyond the last bucket too', async () => {
    latency.record(5, { model: 'a' }, 'e'.repeat(32));
    const { text } = await metricsPage(registry, PROMETHEUS_ASKS);
    expect(text).toMatch(/le="\+Inf",model="a"\} 1 # \{trace_id="e{32}"\} 5 /);
  });

  it('names none for what is no trace, and keeps the one before', async () => {
    latency.record(0.5, { model: 'a' });
    const { text } = await metricsPage(registry, PROMETHEUS_ASKS);
    expect(text).toContain('wait_seconds_count{model="a"} 1\n');
    expect(text).not.toContain('trace_id');
    latency.record(0.5, { model: 'a' }, TRACE);
    latency.record(0.6, { model: 'a' });
    expect((await metricsPage(registry, PROMETHEUS_ASKS)).text).toContain(
      `trace_id="${TRACE}"} 0.5`,
    );
  });

  it('is in the older format for whoever does not ask for OpenMetrics, without traces', async () => {
    latency.record(0.5, { model: 'a' }, TRACE);
    const page = await metricsPage(registry, 'text/plain');
    expect(page.contentType).toMatch(/^text\/plain; version=0\.0\.4/);
    expect(page.text).toContain('# TYPE words_total counter\nwords_total 3\n');
    expect(page.text).toContain('wait_seconds_bucket{le="1",model="a"} 1\n');
  });

  it('keeps the names of counters in both formats, whichever was asked for first', async () => {
    const open = await metricsPage(registry, PROMETHEUS_ASKS);
    expect(open.contentType).toMatch(/^application\/openmetrics-text; version=1\.0\.0/);
    expect(open.text).toContain('# TYPE words counter\nwords_total 3\n');
    expect(open.text).toMatch(/\n# EOF\n$/);
    const { text } = await metricsPage(registry, undefined);
    expect(text).toContain('words_total 3\n');
    expect((await metricsPage(registry, PROMETHEUS_ASKS)).text).toContain('\nwords_total 3\n');
  });

  it('has what Node tells of itself, but no gauge that is named like a counter', async () => {
    collectNodeMetrics(registry);
    const { text } = await metricsPage(registry, undefined);
    expect(text).toContain('nodejs_eventloop_lag_p99_seconds');
    expect(text).toContain('process_cpu_seconds_total');
    expect(text.match(/# TYPE \S+_total gauge/g)).toBeNull();
  });
});
