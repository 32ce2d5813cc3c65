import { spawn } from 'node:child_process';
import { createServer } from 'node:http';

/** Which variable holds the port on which a server is asked whether it is ready. */
const PORTS = { gateway: 'SERVER_PORT', 'asr-worker': 'INTERNAL_PORT', vllm: 'VLLM_PORT' };

const STUBBORN_CHILD = `process.on('SIGTERM', () => {}); setInterval(() => {}, 1000);`;
/** What a server of ours would log, and about as long. */
const LINE = 'x'.repeat(180);

/**
 * A server of the GPU host that does nothing, in a few milliseconds. The words of STAND_IN_GATEWAY, STAND_IN_ASR_WORKER or
 * STAND_IN_VLLM make it misbehave: `ends`, `never-ready`, `stubborn`, `leaks`, `chatty`.
 */
export async function standIn(name: keyof typeof PORTS): Promise<void> {
  if (process.argv[2] === 'wheel') {
    console.log(JSON.stringify({ command: ['uv', 'pip', 'install', 'vllm==1.2.3'] }));
    return;
  }
  const variable = `STAND_IN_${name.toUpperCase().replace('-', '_')}`;
  const habits = (process.env[variable] ?? '').split(' ');
  const log = (event: string, fields = {}): void =>
    console.log(JSON.stringify({ event, ...fields }));
  if (habits.includes('ends')) {
    log('starting');
    console.error('the card has fallen off the bus');
    process.exit(3);
  }
  const stubborn = habits.includes('stubborn');
  if (stubborn) spawn(process.execPath, ['--eval', STUBBORN_CHILD], { stdio: 'inherit' });
  const end = (): void => {
    // One that no one has seen before, in a session of its own.
    if (stubborn) spawn(process.execPath, ['--eval', STUBBORN_CHILD], { detached: true });
    log('ending');
    if (!stubborn) process.exit(0);
  };
  process.on('SIGTERM', end);
  if (process.env['VF_EXIT_WITH_PARENT'] === '1') {
    process.stdin.on('end', end).on('error', end).resume();
  }

  const ready = !habits.includes('never-ready');
  const answer = JSON.stringify({ ready, slots: 4, leased: 1, workers: 1 });
  const server = createServer((_, response) => response.writeHead(ready ? 200 : 503).end(answer));
  server.listen(Number(process.env[PORTS[name]]), '127.0.0.1', () => log('listening'));

  if (habits.includes('leaks')) await leak();
  if (habits.includes('chatty')) chat();
}

/** Everything that this process knows, as careless programs print it. */
async function leak(): Promise<void> {
  for (const [name, value = ''] of Object.entries(process.env)) {
    if (!/KEY|TOKEN|REDIS_URL/.test(name)) continue;
    console.log(`${name}=${value}`);
    console.log(
      JSON.stringify({ [name]: value, url: `ws://x/?api_key=${encodeURIComponent(value)}` }),
    );
    // In two pieces, so that they are read one after the other.
    await new Promise((resolve) => process.stderr.write(value.slice(0, 6), resolve));
    await new Promise((resolve) => setTimeout(resolve, 20));
    process.stderr.write(`${value.slice(6)}\n`);
    // Around the place where a line that is too long is cut.
    console.log(`${'y'.repeat(16_384 - 8)}${value}`);
  }
  console.log('leaked everything');
}

/** Writes some thirty times as much as the tests allow the log to hold. */
function chat(): void {
  let count = 0;
  const timer = setInterval(() => {
    for (let index = 0; index < 200; index += 1) {
      count += 1;
      console.log(`line ${count} ${LINE}`);
    }
    if (count === 8_000) {
      clearInterval(timer);
      console.log('chatted enough');
    }
  }, 10);
}
