import {
  type Context,
  type ContextManager,
  createContextKey,
  type Attributes as OtelAttributes,
  type Span as OtelSpan,
  type Tracer as OtelTracerApi,
  ROOT_CONTEXT,
  SpanKind,
  SpanStatusCode,
  trace,
} from '@opentelemetry/api';
import { OTLPTraceExporter } from '@opentelemetry/exporter-trace-otlp-http';
import { envDetector, hostDetector, resourceFromAttributes } from '@opentelemetry/resources';
import { NodeSDK } from '@opentelemetry/sdk-node';
import {
  BatchSpanProcessor,
  ParentBasedSampler,
  type Sampler,
  type SamplingResult,
  TraceIdRatioBasedSampler,
} from '@opentelemetry/sdk-trace';
import { BoundedSpans } from './bounded-spans.ts';
import { ATTRIBUTES, type AttributeKey, type Attributes, CONTENT } from './names.ts';
import type { OpenTracerOptions } from './open-tracer.ts';
import { formatTraceparent, parseTraceparent } from './traceparent.ts';
import type { Span, SpanCounts, SpanStart, Tracer } from './tracer.ts';

/** For one export, its retries included. */
const EXPORT_TIMEOUT_MS = 5_000;
/** For all that waits when the service stops. */
const FLUSH_MS = 2_000;
const MAX_BATCH = 512;
/** A text of somebody's, where an operator wants it. */
const MAX_CONTENT_CHARS = 4_096;

const STRANGER = createContextKey('voice-fleet stranger');
const KINDS = {
  internal: SpanKind.INTERNAL,
  server: SpanKind.SERVER,
  client: SpanKind.CLIENT,
  consumer: SpanKind.CONSUMER,
};

/** Parents are handed over by name, so that nothing follows every promise of the process. */
const NO_CONTEXT_MANAGER: ContextManager = {
  active: () => ROOT_CONTEXT,
  with: (_context, act, self, ...args) => act.call(self as ThisParameterType<typeof act>, ...args),
  bind: (_context, target) => target,
  enable: () => NO_CONTEXT_MANAGER,
  disable: () => NO_CONTEXT_MANAGER,
};

/** The fleet keeps to the first decision of its own; a stranger's flag makes nothing be kept, and nothing be let go. */
class EdgeSampler implements Sampler {
  readonly #root: Sampler;
  readonly #inner: Sampler;

  constructor(ratio: number) {
    this.#root = new TraceIdRatioBasedSampler(ratio);
    this.#inner = new ParentBasedSampler({ root: this.#root });
  }

  shouldSample(context: Context, ...rest: Rest<Sampler['shouldSample']>): SamplingResult {
    const by = context.getValue(STRANGER) === true ? this.#root : this.#inner;
    return by.shouldSample(context, ...rest);
  }

  toString(): string {
    return `EdgeSampler{${this.#root.toString()}}`;
  }
}
type Rest<F> = F extends (first: Context, ...rest: infer R) => unknown ? R : never;

/** Spans of OpenTelemetry, sent to a collector over OTLP/HTTP. One for a process. */
export class OtelTracer implements Tracer {
  readonly on = true;
  readonly #sdk: NodeSDK;
  readonly #spans: BoundedSpans;
  readonly #tracer: OtelTracerApi;
  readonly #content: boolean;
  readonly #log: OpenTracerOptions['log'];

  constructor({ service, settings, log }: OpenTracerOptions) {
    this.#content = settings.content;
    this.#log = log;
    this.#spans = new BoundedSpans(settings.maxQueued, (lost) =>
      log[lost ? 'warn' : 'info']({ event: lost ? 'traces_lost' : 'traces_back', ...this.counts }),
    );
    const exporter = new OTLPTraceExporter({
      timeoutMillis: EXPORT_TIMEOUT_MS,
      ...(settings.endpoint && { url: tracesUrl(settings.endpoint) }),
    });
    const batches = new BatchSpanProcessor({
      exporter: this.#spans.counting(exporter),
      maxQueueSize: settings.maxQueued,
      maxExportBatchSize: Math.min(MAX_BATCH, settings.maxQueued),
      scheduledDelayMillis: settings.delayMs,
      exportTimeoutMillis: EXPORT_TIMEOUT_MS,
    });
    this.#sdk = new NodeSDK({
      // Not the arguments of the process, which may hold keys.
      resourceDetectors: [envDetector, hostDetector],
      resource: resourceFromAttributes({
        'service.name': service,
        'service.namespace': 'voice-fleet',
      }),
      sampler: new EdgeSampler(settings.ratio),
      spanProcessors: [this.#spans.before(batches)],
      // Metrics are Prometheus', and logs go to standard output.
      metricReaders: [],
      logRecordProcessors: [],
      instrumentations: [],
      textMapPropagator: null,
      contextManager: NO_CONTEXT_MANAGER,
    });
    this.#sdk.start();
    this.#tracer = trace.getTracer('voice-fleet');
  }

  get counts(): SpanCounts {
    return this.#spans.counts;
  }

  start(name: string, options: SpanStart = {}): Span {
    const { kind = 'internal', parent, stranger, links = [], attributes, detail, atMs } = options;
    const context = contextOf(parent, stranger);
    const span = this.#tracer.startSpan(
      detail === undefined ? name : `${name} ${detail}`,
      {
        kind: KINDS[kind],
        links: links.flatMap(linkTo),
        ...(attributes && { attributes: named(attributes) }),
        ...(atMs !== undefined && { startTime: atMs }),
      },
      context,
    );
    return new TracedSpan(span, this.#content);
  }

  async close(): Promise<void> {
    let giveUp: NodeJS.Timeout | undefined;
    const late = new Promise<void>((resolve) => {
      giveUp = setTimeout(resolve, FLUSH_MS);
    });
    await Promise.race([this.#sdk.shutdown().catch(() => undefined), late]);
    clearTimeout(giveUp);
    const { dropped, failed } = this.counts;
    if (dropped + failed > 0) this.#log.warn({ event: 'traces_incomplete', ...this.counts });
  }
}

class TracedSpan implements Span {
  readonly traceparent: string;
  readonly traceId: string | undefined;
  readonly #span: OtelSpan;
  readonly #content: boolean;

  constructor(span: OtelSpan, content: boolean) {
    this.#span = span;
    this.#content = content;
    const { traceId, spanId, traceFlags } = span.spanContext();
    const sampled = (traceFlags & 1) === 1;
    this.traceparent = formatTraceparent({ traceId, spanId, sampled });
    this.traceId = sampled ? traceId : undefined;
  }

  set(attributes: Attributes): void {
    this.#span.setAttributes(named(attributes));
  }

  event(name: string, attributes: Attributes = {}): void {
    this.#span.addEvent(name, named(attributes));
  }

  content(what: keyof typeof CONTENT, text: string): void {
    if (this.#content) this.#span.setAttribute(CONTENT[what], text.slice(0, MAX_CONTENT_CHARS));
  }

  end(error?: string, atMs?: number): void {
    if (error !== undefined) {
      this.#span.setAttribute(ATTRIBUTES.error, error);
      this.#span.setStatus({ code: SpanStatusCode.ERROR });
    }
    this.#span.end(atMs);
  }
}

function contextOf(parent: string | undefined, stranger = false): Context {
  const found = parseTraceparent(parent);
  if (found === undefined) return ROOT_CONTEXT;
  const { traceId, spanId, sampled } = found;
  const context = trace.setSpanContext(ROOT_CONTEXT, {
    traceId,
    spanId,
    traceFlags: sampled ? 1 : 0,
    isRemote: true,
  });
  return stranger ? context.setValue(STRANGER, true) : context;
}

function linkTo(
  traceparent: string | undefined,
): { context: ReturnType<OtelSpan['spanContext']> }[] {
  const found = parseTraceparent(traceparent);
  if (found === undefined) return [];
  const { traceId, spanId, sampled } = found;
  return [{ context: { traceId, spanId, traceFlags: sampled ? 1 : 0, isRemote: true } }];
}

function named(attributes: Attributes): OtelAttributes {
  const found: OtelAttributes = {};
  for (const [key, value] of Object.entries(attributes))
    if (value !== undefined) found[ATTRIBUTES[key as AttributeKey]] = value;
  return found;
}

/** Where OTLP's traces go below a collector's base address. */
function tracesUrl(endpoint: string): string {
  return `${endpoint.replace(/\/+$/, '')}/v1/traces`;
}
