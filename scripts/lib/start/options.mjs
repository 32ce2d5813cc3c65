import { randomBytes } from 'node:crypto';
import { env } from 'node:process';
import { parseArgs } from 'node:util';
import { isFree } from '../ports.mjs';

export const HELP = `npm start [-- options]

Starts Redis, the gateway, a speech worker and llm-tts in this terminal, plays one recording through them and prints what was
recognised, asks one spoken question and prints the reply. Ctrl+C stops everything. Installs first what this machine lacks.

  --port N      the gateway's port (default: SERVER_PORT, or 8000)
  --workers N   how many speech workers (default: 1)
  --no-demo     play no recording and ask no question
  --once        exit after both, 0 if the recording was recognised and the question answered aloud
  --json        print the result as one JSON object on stdout; everything else goes to stderr
  --help        print this

Environment: SERVER_PORT, SERVER_BIND_HOST (default 127.0.0.1), VOXTRAL_API_KEY (default: a new one),
REDIS_URL (default: an own Redis that keeps nothing), ASR_ENGINE, LOG_LEVEL, BATCH_JOBS_MAX (default: 2),
JOBS_DIR (default: a folder that lasts as long as Redis), and what llm-tts reads, such as OPENAI_BASE_URL and
TTS_BASE_URL (default: rules answer and flite speaks).`;

/** As in the services, an empty variable counts as unset. */
export function readOptions() {
  let values;
  try {
    ({ values } = parseArgs({
      options: {
        port: { type: 'string', default: env.SERVER_PORT || '8000' },
        workers: { type: 'string', default: '1' },
        'no-demo': { type: 'boolean', default: false },
        once: { type: 'boolean', default: false },
        json: { type: 'boolean', default: false },
        help: { type: 'boolean', default: false },
      },
    }));
  } catch (error) {
    throw new Error(`${error.message}\nSee \`npm start -- --help\`.`);
  }
  return {
    ...values,
    demo: !values['no-demo'],
    port: wholeNumber('--port', values.port, 65_535),
    workers: wholeNumber('--workers', values.workers, 64),
    bindHost: env.SERVER_BIND_HOST || '127.0.0.1',
    // A key for one run, unless the caller brings one.
    apiKey: env.VOXTRAL_API_KEY || `vf_local_${randomBytes(18).toString('base64url')}`,
  };
}

function wholeNumber(name, text, max) {
  const value = Number(text);
  if (!Number.isInteger(value) || value < 1 || value > max) {
    throw new Error(`${name} takes a whole number from 1 to ${max}, not "${text}".`);
  }
  return value;
}

export async function checkPort({ port, bindHost }) {
  if (await isFree(port, bindHost)) return;
  let other = port + 1;
  while (other < 65_535 && !(await isFree(other, bindHost))) other += 1;
  throw new Error(`Port ${port} on ${bindHost} is taken: run \`SERVER_PORT=${other} npm start\`.`);
}
