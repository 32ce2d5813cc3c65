import { fork } from 'node:child_process';
import { once } from 'node:events';
import { monitorEventLoopDelay } from 'node:perf_hooks';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { decodeRecording } from '@voice-fleet/media/decode-recording';
import { VoiceError } from '@voice-fleet/protocol/errors';
import { BOMBS, HONEST } from './recording-cases.ts';

const HELP = `npm run bench:recordings -- [options]

What it costs to decode a recording without ffmpeg: CPU time for a minute of audio, memory at its peak beside that of a
process that decodes nothing, and how long the main thread was kept at the most. Then the same of small files that tell of
hours, gigabytes or nothing. Each in a process of its own.

  --seconds N   audio of each honest file (default 120)
  --max-s N     audio that is read of a file (default 600)
  --help        print this`;

const CASE = 'case';

interface Found {
  readonly outcome: string;
  readonly audioS: number;
  readonly fileKb: number;
  readonly cpuMs: number;
  readonly peakMb: number;
  readonly heldMs: number;
}

async function main(): Promise<void> {
  const { values } = parseArgs({
    options: {
      seconds: { type: 'string', default: '120' },
      'max-s': { type: 'string', default: '600' },
      [CASE]: { type: 'string' },
      help: { type: 'boolean', default: false },
    },
  });
  if (values.help) return console.log(HELP);
  const [seconds, maxS] = [Number(values.seconds), Number(values['max-s'])];
  const name = values[CASE];
  if (name !== undefined) {
    process.send?.(await measure(name, seconds, maxS));
    return process.disconnect();
  }
  const columns = ['recording', 'kB', 'CPU ms/min', 'peak MB', 'held ms', 'outcome'];
  console.log(row(columns));
  for (const each of [...Object.keys(HONEST), ...Object.keys(BOMBS)]) {
    const { outcome, audioS, fileKb, cpuMs, peakMb, heldMs } = await inChild(each, seconds, maxS);
    const perMinute = audioS > 0 ? (cpuMs * 60) / audioS : cpuMs;
    const numbers = [fileKb, perMinute, peakMb, heldMs].map((value) => value.toFixed(0));
    console.log(row([each, ...numbers, outcome]));
  }
}

async function inChild(name: string, seconds: number, maxS: number): Promise<Found> {
  const args = [`--${CASE}`, name, '--seconds', String(seconds), '--max-s', String(maxS)];
  const child = fork(fileURLToPath(import.meta.url), args, { execArgv: process.execArgv });
  let found: Found | undefined;
  child.once('message', (message) => {
    found = message as Found;
  });
  const [status, signal] = await once(child, 'exit');
  if (found) return found;
  const outcome = `the process ended: ${signal ?? status}`;
  return { outcome, audioS: 0, fileKb: 0, cpuMs: 0, peakMb: 0, heldMs: 0 };
}

async function measure(name: string, seconds: number, maxS: number): Promise<Found> {
  const file = await (HONEST[name] ?? BOMBS[name])?.(seconds);
  if (file === undefined) throw new Error(`there is no ${name}`);
  const before = process.resourceUsage();
  const delay = monitorEventLoopDelay({ resolution: 2 });
  delay.enable();
  const limits = { ffmpeg: '/nowhere/ffmpeg', maxDurationMs: maxS * 1000 };
  const { audioS, outcome } = await decodeRecording(
    file,
    limits,
    new AbortController().signal,
  ).then(
    (pcm) => ({ audioS: pcm.length / 32_000, outcome: `${(pcm.length / 32_000).toFixed(0)} s` }),
    (error: unknown) => {
      if (!(error instanceof VoiceError)) throw error;
      const { code, message } = error;
      return { audioS: code === 'message_too_large' ? maxS : 0, outcome: `${code}: ${message}` };
    },
  );
  delay.disable();
  const after = process.resourceUsage();
  const cpuUs = after.userCPUTime + after.systemCPUTime - before.userCPUTime - before.systemCPUTime;
  return {
    outcome,
    audioS,
    fileKb: file.length / 1000,
    cpuMs: cpuUs / 1000,
    peakMb: (after.maxRSS - before.maxRSS) / 1024,
    heldMs: delay.max / 1e6,
  };
}

function row([name = '', ...cells]: readonly string[]): string {
  const outcome = cells.at(-1) ?? '';
  const numbers = cells.slice(0, -1).map((cell) => cell.padStart(12));
  return `${name.padEnd(34)}${numbers.join('')}  ${outcome}`;
}

await main();
