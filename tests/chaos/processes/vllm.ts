import { createInterface } from 'node:readline';
import { runService } from '@voice-fleet/runtime/lifecycle';
import { FakeVllm } from '@voice-fleet/testkit/fake-vllm/fake-vllm';

/**
 * A fake vLLM that does what lines on its standard input say: `hang` (nobody gets an answer, `/health` stays well) and
 * `resume`. `VLLM_STEP_MS` is what a step of its engine takes.
 */
const CLOSE_TIMEOUT_MS = 2_000;

await runService({ name: 'vllm', env: process.env }, async () => {
  const fake = await FakeVllm.start({
    port: Number(process.env['VLLM_PORT'] ?? 0),
    baseMs: Number(process.env['VLLM_STEP_MS'] ?? 0),
  });
  createInterface({ input: process.stdin }).on('line', (line) => {
    if (line === 'hang') fake.faults.hang();
    if (line === 'resume') fake.faults.resume();
  });
  process.stdout.write(`${JSON.stringify({ event: 'listening', port: fake.port })}\n`);
  return { close: () => fake.close(), closeTimeoutMs: CLOSE_TIMEOUT_MS };
});
