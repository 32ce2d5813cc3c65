import { z } from 'zod';
import { booleanVar, enumVar, integerVar, numberVar, textVar } from './env.ts';

/** Variables of tracing, by OpenTelemetry's names. It reads some more by itself; docs/operations/tracing.md names them. */
export const TRACE_ENV = {
  OTEL_TRACES_EXPORTER: enumVar(['none', 'otlp'], {
    default: 'none',
    doc: 'Whether traces are sent to a collector over OTLP/HTTP. With `none` nothing of OpenTelemetry is loaded.',
  }),
  OTEL_EXPORTER_OTLP_ENDPOINT: textVar({
    default: '',
    doc: 'Base address of the collector; empty for http://localhost:4318.',
  }),
  OTEL_TRACES_SAMPLER_ARG: numberVar({
    default: 1,
    min: 0,
    max: 1,
    doc: 'Part of the traces that is kept. What a client says of its own trace does not count.',
  }),
  OTEL_BSP_MAX_QUEUE_SIZE: integerVar({
    default: 2048,
    min: 1,
    max: 1_000_000,
    doc: 'Spans that may wait for the collector; more are let go, and counted.',
  }),
  OTEL_BSP_SCHEDULE_DELAY: integerVar({
    default: 5_000,
    min: 10,
    max: 60_000,
    doc: 'The longest in ms that a finished span waits before it is sent.',
  }),
  TRACE_CONTENT: booleanVar({
    default: false,
    doc: 'Transcripts and replies stand in spans. They are personal data: see docs/operations/tracing.md.',
  }),
};

/** The same, read alone, as settings. */
export const TraceEnv = z.object(TRACE_ENV).transform((env) => ({
  on: env.OTEL_TRACES_EXPORTER === 'otlp',
  endpoint: env.OTEL_EXPORTER_OTLP_ENDPOINT,
  ratio: env.OTEL_TRACES_SAMPLER_ARG,
  maxQueued: env.OTEL_BSP_MAX_QUEUE_SIZE,
  delayMs: env.OTEL_BSP_SCHEDULE_DELAY,
  content: env.TRACE_CONTENT,
}));
