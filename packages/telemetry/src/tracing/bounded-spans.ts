import type { ReadableSpan, Span, SpanExporter, SpanProcessor } from '@opentelemetry/sdk-trace';
import type { SpanCounts } from './tracer.ts';

type Result = Parameters<Parameters<SpanExporter['export']>[1]>[0];

/**
 * Stands before and behind the SDK's batches, and counts: what finds no room is let go, and so is what the collector does not
 * take. Nothing of it is felt by sessions.
 */
export class BoundedSpans implements SpanProcessor {
  readonly #counts = { exported: 0, dropped: 0, failed: 0 };
  readonly #maxQueued: number;
  readonly #onChange: (lost: boolean) => void;
  #next: SpanProcessor | undefined;
  #queued = 0;
  /** Neither exported nor failed yet. */
  #unsettled = 0;
  #onSettled: (() => void) | undefined;
  #losing = false;

  /** `onChange`: the collector takes nothing (true), or takes spans again. */
  constructor(maxQueued: number, onChange: (lost: boolean) => void) {
    this.#maxQueued = maxQueued;
    this.#onChange = onChange;
  }

  get counts(): SpanCounts {
    return { ...this.#counts };
  }

  /** Where spans go that find room. */
  before(next: SpanProcessor): this {
    this.#next = next;
    return this;
  }

  /** What `next` exports with. */
  counting(exporter: SpanExporter): SpanExporter {
    const { forceFlush } = exporter;
    return {
      export: (spans: ReadableSpan[], done: (result: Result) => void) => {
        this.#queued -= spans.length;
        exporter.export(spans, (result) => {
          this.#settle(result.code === 0, spans.length);
          done(result);
        });
      },
      shutdown: () => exporter.shutdown(),
      ...(forceFlush && { forceFlush: () => forceFlush.call(exporter) }),
    };
  }

  onStart(span: Span, context: Parameters<SpanProcessor['onStart']>[1]): void {
    this.#next?.onStart(span, context);
  }

  onEnd(span: ReadableSpan): void {
    if (this.#queued >= this.#maxQueued) {
      this.#counts.dropped += 1;
      return;
    }
    this.#queued += 1;
    this.#unsettled += 1;
    this.#next?.onEnd(span);
  }

  async forceFlush(): Promise<void> {
    await this.#next?.forceFlush();
  }

  /** The SDK does not wait for a batch that is on its way already. */
  async shutdown(): Promise<void> {
    await this.#next?.forceFlush().catch(() => undefined);
    while (this.#unsettled > 0) {
      await new Promise<void>((resolve) => {
        this.#onSettled = resolve;
      });
    }
    await this.#next?.shutdown();
  }

  #settle(taken: boolean, spans: number): void {
    this.#counts[taken ? 'exported' : 'failed'] += spans;
    this.#unsettled -= spans;
    this.#onSettled?.();
    if (this.#losing === !taken) return;
    this.#losing = !taken;
    this.#onChange(this.#losing);
  }
}
