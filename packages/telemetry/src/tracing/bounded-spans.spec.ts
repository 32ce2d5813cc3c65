import { beforeEach, describe, expect, it } from '@jest/globals';
import type { ReadableSpan, SpanExporter, SpanProcessor } from '@opentelemetry/sdk-trace';
import { BoundedSpans } from './bounded-spans.ts';

const SPAN = {} as ReadableSpan;

describe('spans on their way to a collector', () => {
  let changes: boolean[];
  let spans: BoundedSpans;
  let batches: ReadableSpan[];
  let exporter: SpanExporter;
  let taken: boolean;

  beforeEach(() => {
    changes = [];
    batches = [];
    taken = true;
    const next = {
      onStart: () => undefined,
      onEnd: (span: ReadableSpan) => void batches.push(span),
      forceFlush: async () => undefined,
      shutdown: async () => undefined,
    } as SpanProcessor;
    spans = new BoundedSpans(3, (lost) => changes.push(lost)).before(next);
    exporter = spans.counting({
      export: (_spans, done) => done({ code: taken ? 0 : 1 }),
      shutdown: async () => undefined,
    });
  });

  const end = (count: number): void => {
    for (let at = 0; at < count; at += 1) spans.onEnd(SPAN);
  };
  const send = (): void => exporter.export(batches.splice(0), () => undefined);

  it('are let go and counted when too many wait', () => {
    end(5);
    expect(batches).toHaveLength(3);
    expect(spans.counts).toEqual({ exported: 0, dropped: 2, failed: 0 });
  });

  it('find room again as soon as those that wait were sent', () => {
    end(3);
    send();
    end(2);
    send();
    expect(spans.counts).toEqual({ exported: 5, dropped: 0, failed: 0 });
  });

  it('are waited for when all is over, also those on their way', async () => {
    const waiting: (() => void)[] = [];
    const slow = spans.counting({
      export: (_spans, done) => void waiting.push(() => done({ code: 0 })),
      shutdown: async () => undefined,
    });
    end(2);
    slow.export(batches.splice(0), () => undefined);
    let over = false;
    const closed = spans.shutdown().then(() => {
      over = true;
    });
    await new Promise((resolve) => setImmediate(resolve));
    expect(over).toBe(false);
    for (const answer of waiting) answer();
    await closed;
    expect(spans.counts.exported).toBe(2);
  });

  it('are counted as failed while the collector takes none, which is told once', () => {
    taken = false;
    for (let times = 0; times < 3; times += 1) {
      end(2);
      send();
    }
    expect(spans.counts).toEqual({ exported: 0, dropped: 0, failed: 6 });
    expect(changes).toEqual([true]);
    taken = true;
    end(1);
    send();
    expect(changes).toEqual([true, false]);
  });
});
