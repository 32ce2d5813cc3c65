import type { Tracer } from '@voice-fleet/telemetry/tracing/tracer';
import type { UtteranceWatch } from './options.ts';

/** A span for each utterance that comes with a `traceparent`: what an inference server with tracing of its own would add. */
export function tracedUtterances(tracer: Tracer): UtteranceWatch {
  return (parent) => {
    if (parent === undefined) return () => undefined;
    const attributes = { engine: 'fake-vllm' };
    const span = tracer.start('speech_to_text', { kind: 'server', parent, attributes });
    return (end) => {
      span.set({ outcome: end });
      span.end(end === 'failed' ? 'processing_error' : undefined);
    };
  };
}
