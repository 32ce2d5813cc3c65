// The release gate of the voice pipeline over recordings of people, and one sentence of flite.
import { execFile } from 'node:child_process';
import { rmSync } from 'node:fs';
import { mkdtemp } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { durationS, loadPcm } from '@voice-fleet/client/audio-source';
import { runProcess } from '@voice-fleet/client/cli/process';
import { findSamples } from '@voice-fleet/client/samples';

const SENTENCE = 'please tell me, what is seven plus five, and what is the time';
const SAY = join(import.meta.dirname, 'lib/say.mjs');
/** What the gate takes. */
const MIN_S = 3;
const MAX_S = 8;
const PEOPLE = 4;

async function recordings(folder: string): Promise<string[]> {
  const spoken = join(folder, 'spoken-by-flite.wav');
  await promisify(execFile)(process.execPath, ['--no-warnings', SAY, spoken, SENTENCE]);
  const people: string[] = [];
  for (const { path } of await findSamples()) {
    const length = durationS(await loadPcm(path));
    if (length >= MIN_S && length <= MAX_S) people.push(path);
  }
  return [...people.slice(0, PEOPLE), spoken];
}

const args = process.argv.slice(2);
const given = args.some((arg) => arg === '--help' || arg === '-h' || arg.startsWith('--file'));
if (given) await runProcess(['uat', ...args]);
const folder = await mkdtemp(join(tmpdir(), 'voice-fleet-uat-'));
// However the gate ends this process.
process.once('exit', () => rmSync(folder, { recursive: true, force: true }));
const files = (await recordings(folder)).flatMap((file) => ['--file', file]);
await runProcess(['uat', ...args, ...files]);
