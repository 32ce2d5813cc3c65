import { createInterface } from 'node:readline';
import { parseEnv } from '@voice-fleet/runtime/env';
import { runService } from '@voice-fleet/runtime/lifecycle';
import { TraceEnv } from '@voice-fleet/runtime/trace-env';
import { createLogger } from '@voice-fleet/telemetry/logger';
import { openTracer } from '@voice-fleet/telemetry/tracing/open-tracer';
import { FakeVllm } from '@voice-fleet/testkit/fake-vllm/fake-vllm';
import { tracedUtterances } from '@voice-fleet/testkit/fake-vllm/traced-utterances';

/**
 * A fake vLLM that does what lines on its standard input say: `hang` (nobody gets an answer, `/health` stays well) and
 * `resume`. `VLLM_STEP_MS` is what a step of its engine takes.
 */
const CLOSE_TIMEOUT_MS = 2_000;

await runService({ name: 'vllm', env: process.env }, async () => {
  const settings = parseEnv(TraceEnv, process.env);
  const log = createLogger('vllm', 'warn');
  const tracer = await openTracer({ service: 'vllm', settings, log });
  const fake = await FakeVllm.start({
    onUtterance: tracedUtterances(tracer),
    port: Number(process.env['VLLM_PORT'] ?? 0),
    baseMs: Number(process.env['VLLM_STEP_MS'] ?? 0),
  });
  createInterface({ input: process.stdin }).on('line', (line) => {
    if (line === 'hang') fake.faults.hang();
    if (line === 'resume') fake.faults.resume();
  });
  process.stdout.write(`${JSON.stringify({ event: 'listening', port: fake.port })}\n`);
  const close = (): Promise<void> => fake.close().finally(() => tracer.close());
  return { close, closeTimeoutMs: CLOSE_TIMEOUT_MS };
});
