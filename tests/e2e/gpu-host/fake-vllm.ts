// The fake vLLM under vLLM's own command line, for VLLM_COMMAND: `serve MODEL --served-model-name NAME --host HOST --port PORT …`.
import { existsSync } from 'node:fs';
import { setTimeout as delay } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';

const LOOK_MS = 20;

/** What VLLM_COMMAND holds. */
export const FAKE_VLLM_COMMAND = [
  process.execPath,
  ...['--conditions=source', '--import', 'tsx'],
  fileURLToPath(import.meta.url),
].join(' ');

/** Serves what `words` say. With FAKE_VLLM_LOADS_UNTIL it listens once that file exists, as vLLM does when it has loaded. */
async function serve(words: readonly string[]): Promise<void> {
  // All of its other flags are about the card.
  const { values, positionals } = parseArgs({
    args: [...words],
    strict: false,
    options: {
      'served-model-name': { type: 'string' },
      host: { type: 'string' },
      port: { type: 'string' },
    },
  });
  if (positionals[0] !== 'serve') throw new Error(`vllm ${words.join(' ')}: only serve is played`);
  const { 'served-model-name': model, host, port } = values;
  const file = process.env['FAKE_VLLM_LOADS_UNTIL'] ?? '';
  while (file !== '' && !existsSync(file)) await delay(LOOK_MS);
  const own = ['--model', String(model), '--host', String(host), '--port', String(port), '--json'];
  process.argv.splice(2, process.argv.length, ...own);
  await import('@voice-fleet/testkit/fake-vllm/main');
}

if (process.argv[1] === fileURLToPath(import.meta.url)) await serve(process.argv.slice(2));
