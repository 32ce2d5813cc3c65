import { describe, expect, it } from '@jest/globals';
import * as fc from 'fast-check';
import { counterDelta, parseVllmMetrics } from './prometheus-text.ts';

const EXPOSITION = `# HELP vllm:kv_cache_usage_perc KV-cache usage. 1 means 100 percent usage.
# TYPE vllm:kv_cache_usage_perc gauge
vllm:kv_cache_usage_perc{engine="0",model_name="mistralai/Voxtral-Mini-4B-Realtime-2602"} 0.4175
vllm:kv_cache_usage_perc{engine="1",model_name="mistralai/Voxtral-Mini-4B-Realtime-2602"} 0.62
vllm:num_requests_waiting{engine="0",model_name="m"} 31.0
vllm:num_requests_waiting_by_reason{engine="0",model_name="m",reason="capacity"} 2.0
vllm:num_requests_waiting_by_reason{engine="1",model_name="m",reason="capacity"} 1.0
vllm:num_requests_waiting_by_reason{engine="0",model_name="m",reason="deferred"} 29.0
vllm:num_preemptions_total{engine="0",model_name="m"} 7.0
vllm:num_preemptions_total{engine="1",model_name="m"} 1.0
vllm:num_preemptions_created{engine="0",model_name="m"} 1.7632e+09
vllm:websocket_connections_active 33.0
vllm:time_to_first_token_seconds_bucket{engine="0",le="0.02",model_name="m"} 100.0
vllm:time_to_first_token_seconds_bucket{engine="0",le="0.04",model_name="m"} 150.0
vllm:time_to_first_token_seconds_bucket{engine="0",le="+Inf",model_name="m"} 160.0
vllm:time_to_first_token_seconds_bucket{engine="1",le="0.02",model_name="m"} 40.0
vllm:time_to_first_token_seconds_bucket{engine="1",le="0.04",model_name="m"} 40.0
vllm:time_to_first_token_seconds_bucket{engine="1",le="+Inf",model_name="m"} 40.0
vllm:time_to_first_token_seconds_count{engine="0",model_name="m"} 160.0
python_info{implementation="CPython"} 1.0
`;

describe('parseVllmMetrics', () => {
  it('reads several engines: the fullest pool, and the sums of all else', () => {
    expect(parseVllmMetrics(EXPOSITION)).toEqual({
      kvUsage: 0.62,
      waitingForCapacity: 3,
      preemptions: 8,
    });
  });

  it('says of nothing that it is zero', () => {
    const nothing = {
      kvUsage: undefined,
      waitingForCapacity: undefined,
      preemptions: undefined,
    };
    expect(parseVllmMetrics('')).toEqual(nothing);
    expect(parseVllmMetrics('<html>502 Bad Gateway</html>')).toEqual(nothing);
    expect(parseVllmMetrics('vllm:kv_cache_usage_perc NaN\nvllm:kv_cache_usage_perc')).toEqual(
      nothing,
    );
  });

  it.each([
    ['labels in any order, with spaces', 'vllm:kv_cache_usage_perc{ b = "2" , a="1", } 0.5'],
    ['braces and quotes within a label', 'vllm:kv_cache_usage_perc{m="a}\\"{b"} 0.5'],
    ['no labels, a time stamp', 'vllm:kv_cache_usage_perc 0.5 1763200000000'],
    ['an exponent', 'vllm:kv_cache_usage_perc{} 5e-1'],
    ['Windows line ends', 'vllm:kv_cache_usage_perc{a="1"} 0.5\r'],
  ])('understands %s', (_what, line) => {
    expect(parseVllmMetrics(`# comment\n${line}\n`).kvUsage).toBe(0.5);
  });

  it.each([
    ['a negative value', 'vllm:kv_cache_usage_perc -1'],
    ['words', 'vllm:kv_cache_usage_perc half'],
    ['another name that begins alike', 'vllm:kv_cache_usage_perc_max 0.5'],
    ['a comment', '# vllm:kv_cache_usage_perc 0.5'],
    ['an unclosed label', 'vllm:kv_cache_usage_perc{a="1 0.5'],
    ['a very long line', `vllm:kv_cache_usage_perc{a="${'x'.repeat(5_000)}"} 0.5`],
  ])('leaves out %s', (_what, line) => {
    expect(parseVllmMetrics(line).kvUsage).toBeUndefined();
  });

  it('takes a usage above 1 for full', () => {
    expect(parseVllmMetrics('vllm:kv_cache_usage_perc 1.0000001').kvUsage).toBe(1);
  });

  it('reads any text without throwing, and never makes up a number', () => {
    const piece = fc.oneof(
      fc.string(),
      fc.constantFrom(...EXPOSITION.split('\n')),
      fc.constantFrom('{', '}', '"', '\\', 'le="', '\n', ' ', '1e999', '-0', 'vllm:', '+Inf'),
    );
    fc.assert(
      fc.property(fc.array(piece, { maxLength: 60 }), (pieces) => {
        const metrics = parseVllmMetrics(pieces.join(''));
        for (const key of ['waitingForCapacity', 'preemptions'] as const)
          expect(metrics[key] ?? 0).toBeGreaterThanOrEqual(0);
        expect(metrics.kvUsage ?? 0).toBeLessThanOrEqual(1);
      }),
      { numRuns: 300 },
    );
  });

  it('bounds what it keeps and reads', () => {
    const many = Array.from(
      { length: 10_000 },
      (_, index) => `vllm:num_preemptions_total{engine="${index}"} 1`,
    );
    expect(parseVllmMetrics(many.join('\n')).preemptions).toBe(64);
    const late = `${'#'.repeat(100)}\n`.repeat(50_000);
    expect(parseVllmMetrics(`${late}vllm:kv_cache_usage_perc 0.5`).kvUsage).toBeUndefined();
  });
});

describe('counterDelta', () => {
  it('is the growth, the whole value after a restart, and unknown without both readings', () => {
    expect(counterDelta(5, 8)).toBe(3);
    expect(counterDelta(5, 2)).toBe(2);
    expect(counterDelta(undefined, 2)).toBeUndefined();
    expect(counterDelta(2, undefined)).toBeUndefined();
  });
});
