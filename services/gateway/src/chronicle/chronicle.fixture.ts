import { createLogger } from '@voice-fleet/telemetry/logger';
import { NO_TRACER } from '@voice-fleet/telemetry/tracing/tracer';
import type { PipelineOwner } from '../ws/pipeline.ts';
import { type ChronicleDeps, SessionChronicle } from './session-chronicle.ts';

/** Whoever owns a pipeline in a unit test; nobody reads its chronicle. */
export function owner(
  clock: ChronicleDeps['clock'],
  log = createLogger('gateway', 'error', { write: () => undefined }),
): PipelineOwner {
  const origin = { protocol: 'test', method: 'GET', path: '/', traceparent: undefined };
  const chronicle = new SessionChronicle(origin, { clock, tracer: NO_TRACER, log });
  return { tenantId: 't', log, chronicle };
}
