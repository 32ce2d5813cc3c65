import type { Logger } from '../logger.ts';
import { NO_TRACER, type Tracer } from './tracer.ts';

export interface TraceSettings {
  readonly on: boolean;
  /** Base address of an OTLP/HTTP collector; empty: as OpenTelemetry's own variables say. */
  readonly endpoint: string;
  /** Part of the traces begun here that are kept. */
  readonly ratio: number;
  /** Spans that may wait for the collector; more are let go. */
  readonly maxQueued: number;
  readonly delayMs: number;
  /** What was said stands in spans. */
  readonly content: boolean;
}

export interface OpenTracerOptions {
  readonly service: string;
  readonly settings: TraceSettings;
  readonly log: Pick<Logger, 'info' | 'warn'>;
}

/** The tracer of a process. Where tracing is off nothing of OpenTelemetry is loaded. */
export async function openTracer(options: OpenTracerOptions): Promise<Tracer> {
  if (!options.settings.on) return NO_TRACER;
  const { OtelTracer } = await import('./otel-tracer.ts');
  return new OtelTracer(options);
}
