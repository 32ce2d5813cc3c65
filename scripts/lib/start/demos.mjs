import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { ended, FROM_SOURCE } from '../local-fleet.mjs';
import { parseObject, tell } from '../output.mjs';
import { repoRoot } from '../paths.mjs';
import { demoRecording } from '../recording.mjs';

const DEMO_TIMEOUT_MS = 60_000;
/** The rules that answer without a language model can count, so that one hears that it was understood. */
const QUESTION = 'please tell me what is seven plus five';
const SAY = fileURLToPath(new URL('../say.mjs', import.meta.url));

/** What the demonstrations need, made while services start. */
export function prepareDemos(processes) {
  const folder = mkdtempSync(join(tmpdir(), 'voice-fleet-demo-'));
  process.once('exit', () => rmSync(folder, { recursive: true, force: true }));
  const file = join(folder, 'question.wav');
  const child = processes.start('question', process.execPath, [
    '--no-warnings',
    SAY,
    file,
    QUESTION,
  ]);
  const spoken = child.exited.then(({ code, signal }) => {
    if (code !== 0) throw new Error(`The question was not spoken. ${ended(child, code ?? signal)}`);
    return file;
  });
  // Awaited when the services are there.
  spoken.catch(() => {});
  return { spoken };
}

/**
 * Plays one recording through the gateway and asks one question, with the client's own command line, as any caller would.
 * Both at once, as two callers: it takes half the time.
 */
export async function playDemos(processes, { spoken, options, system, address }) {
  const recording = demoRecording(system.sampleDir);
  const question = await spoken;
  tell('demo', `streaming ${recording.name}`, 'green');
  tell('voice', `asking "${QUESTION}"`, 'green');
  const client = new DemoClient(processes, address, options.apiKey);
  const [heard, answered] = await Promise.all([
    client.run('demo', 'warmup', recording.path, ({ text }) => Boolean(text)),
    client.run('voice', 'voice', question, ({ ok }) => ok === true),
  ]);
  const { transcript, reply, speechS, marks, latency } = answered;
  return {
    recording: recording.name,
    reference: recording.reference,
    transcript: heard.text,
    voice: { question: QUESTION, transcript, reply, speechS, marks, latency },
  };
}

class DemoClient {
  #processes;
  #address;
  #apiKey;

  constructor(processes, address, apiKey) {
    this.#processes = processes;
    this.#address = address;
    this.#apiKey = apiKey;
  }

  /** The object that a client command prints; throws when it prints none that is `good`. */
  async run(name, command, file, good) {
    const main = [...FROM_SOURCE, 'packages/client/src/cli/main.ts', command, '--json'];
    let found;
    const printed = new Promise((resolve) => {
      found = resolve;
    });
    const child = this.#processes.start(
      name,
      process.execPath,
      [...main, '--server', this.#address, '--file', file],
      {
        cwd: repoRoot,
        env: { VOXTRAL_API_KEY: this.#apiKey },
        stdout: (line) => {
          const object = parseObject(line);
          if (object) found(object);
        },
      },
    );
    const timer = setTimeout(() => child.child.kill('SIGKILL'), DEMO_TIMEOUT_MS);
    // The result is what counts, not how soon the client ends after it.
    const result = await Promise.race([printed, child.exited.then(() => undefined)]);
    clearTimeout(timer);
    if (result && good(result)) return result;
    const { code, signal } = await child.exited;
    const what =
      command === 'voice'
        ? 'The question was not answered aloud.'
        : 'The recording was not recognised.';
    throw new Error(`${what} ${ended(child, code ?? signal)}`);
  }
}
