import { parseEnv } from '@voice-fleet/runtime/env';
import { runService } from '@voice-fleet/runtime/lifecycle';
import { TraceEnv } from '@voice-fleet/runtime/trace-env';
import { createLogger } from '@voice-fleet/telemetry/logger';
import { openTracer } from '@voice-fleet/telemetry/tracing/open-tracer';
import { type CliOptions, HELP, readCliOptions } from './cli-options.ts';
import { FakeVllm } from './fake-vllm.ts';
import { tracedUtterances } from './traced-utterances.ts';

const EXIT_USAGE = 2;
const CLOSE_TIMEOUT_MS = 5_000;

function options(): CliOptions {
  try {
    const read = readCliOptions(process.argv.slice(2));
    if (read !== undefined) return read;
    process.stdout.write(`${HELP}\n`);
    process.exit(0);
  } catch (error) {
    process.stderr.write(`${error instanceof Error ? error.message : String(error)}\n`);
    process.exit(EXIT_USAGE);
  }
}

const { server, arm, json } = options();
await runService({ name: 'fake-vllm', env: process.env }, async () => {
  const settings = parseEnv(TraceEnv, process.env);
  const log = createLogger('fake-vllm', 'warn', process.stderr);
  const tracer = await openTracer({ service: 'fake-vllm', settings, log });
  const fake = await FakeVllm.start({ ...server, onUtterance: tracedUtterances(tracer) });
  arm(fake.faults);
  const facts = { event: 'ready', url: fake.url, port: fake.port, pid: process.pid };
  process.stdout.write(`${json ? JSON.stringify(facts) : `fake vLLM listens at ${fake.url}`}\n`);
  const close = (): Promise<void> => fake.close(1012).finally(() => tracer.close());
  return { close, closeTimeoutMs: CLOSE_TIMEOUT_MS };
});
