import type { JobRecord } from '@voice-fleet/jobs/job';
import type { Clock } from '@voice-fleet/runtime/clock';
import { SAMPLE_RATE } from '@voice-fleet/speech/pcm';
import type { Span, Tracer } from '@voice-fleet/telemetry/tracing/tracer';

/**
 * One attempt at a job, as a span and as the fields of its line in the log. The span links to the request that asked for the
 * job, which was over long before.
 */
export class JobTrace {
  readonly #record: JobRecord;
  readonly #clock: Clock;
  readonly #span: Span;
  readonly #beganMs: number;
  readonly #queueMs: number;

  constructor(record: JobRecord, clock: Clock, tracer: Tracer) {
    this.#record = record;
    this.#clock = clock;
    this.#beganMs = clock.now();
    this.#queueMs = Math.max(0, Math.round(clock.wallNow() - record.createdAtMs));
    const { id: job, tenantId: tenant, attempts } = record;
    this.#span = tracer.start('job', {
      kind: 'consumer',
      links: [record.traceparent],
      attributes: { job, tenant, attempt: attempts + 1, queueMs: this.#queueMs },
    });
  }

  /** For what is done for it. */
  get traceparent(): string | undefined {
    return this.#span.traceparent;
  }

  /** `after`: the record as it is now. `error`: a name. */
  end(outcome: string, after: JobRecord | undefined, error?: string): Record<string, unknown> {
    const { tenantId: tenant, attempts, doneSamples } = this.#record;
    const fault = error ?? after?.error?.code;
    const facts = {
      outcome,
      audioMs: Math.round(((after?.doneSamples ?? doneSamples) / SAMPLE_RATE) * 1000),
      tookMs: Math.round(this.#clock.now() - this.#beganMs),
    };
    this.#span.set(facts);
    this.#span.end(fault);
    return {
      tenant,
      attempt: attempts + 1,
      queueMs: this.#queueMs,
      ...facts,
      ...(fault !== undefined && { error: fault }),
      ...(this.#span.traceId !== undefined && { trace_id: this.#span.traceId }),
    };
  }
}
