import { runService } from '@voice-fleet/runtime/lifecycle';
import { type CliOptions, HELP, readCliOptions } from './cli-options.ts';
import { FakeVllm } from './fake-vllm.ts';

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
  const fake = await FakeVllm.start(server);
  arm(fake.faults);
  const facts = { event: 'ready', url: fake.url, port: fake.port, pid: process.pid };
  process.stdout.write(`${json ? JSON.stringify(facts) : `fake vLLM listens at ${fake.url}`}\n`);
  return { close: () => fake.close(1012), closeTimeoutMs: CLOSE_TIMEOUT_MS };
});
