import type { Attributes, SpanEvent, SpanName } from './names.ts';

/** One piece of work in a trace. All calls after `end` do nothing. */
export interface Span {
  /** As W3C's header of that name: whoever works for this carries it on. Undefined where nothing is traced. */
  readonly traceparent: string | undefined;
  /** For log lines; only of a trace that is kept. */
  readonly traceId: string | undefined;
  set(attributes: Attributes): void;
  event(name: SpanEvent, attributes?: Attributes): void;
  /** What was said. Left out unless the operator has opted in. */
  content(what: 'heard' | 'replied', text: string): void;
  /** `error`: a code, never a text that may quote somebody. `atMs`: Unix time, when it was over before now. */
  end(error?: string, atMs?: number): void;
}

export interface SpanStart {
  readonly kind?: 'internal' | 'server' | 'client' | 'consumer';
  /** A `traceparent`. What is none is ignored. */
  readonly parent?: string | undefined;
  /** The parent is a stranger's, who is believed its ids and not that it be sampled. */
  readonly stranger?: boolean;
  /** `traceparent`s of what led to this and does not wait for it. */
  readonly links?: readonly (string | undefined)[];
  readonly attributes?: Attributes;
  /** Stands behind the name: which model, which voice. One of few. */
  readonly detail?: string | undefined;
  /** Unix time in ms, when it began before now. */
  readonly atMs?: number;
}

/** What became of the spans so far. */
export interface SpanCounts {
  readonly exported: number;
  /** No room was left for them. */
  readonly dropped: number;
  /** The collector did not take them. */
  readonly failed: number;
}

/** Makes spans. The core of every service is given one, and knows no other part of tracing. */
export interface Tracer {
  /** False: every span is the same, and nothing. */
  readonly on: boolean;
  readonly counts: SpanCounts;
  start(name: SpanName, options?: SpanStart): Span;
  /** Sends what waits, in bounded time. Does not reject. */
  close(): Promise<void>;
}

export const NO_SPAN: Span = {
  traceparent: undefined,
  traceId: undefined,
  set: () => undefined,
  event: () => undefined,
  content: () => undefined,
  end: () => undefined,
};

/** Of a service that is not traced. */
export const NO_TRACER: Tracer = {
  on: false,
  counts: { exported: 0, dropped: 0, failed: 0 },
  start: () => NO_SPAN,
  close: async () => undefined,
};
