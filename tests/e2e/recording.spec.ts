import { execFile } from 'node:child_process';
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { PocketsphinxEngine } from '@voice-fleet/asr-worker/engines/pocketsphinx/engine';
import { runSession } from '@voice-fleet/client/transcribe';
import { systemClock as clock } from '@voice-fleet/runtime/clock';
import { readWav } from '@voice-fleet/speech/wav';
import { Fleet, KEY } from '../support/fleet.ts';

const ROOT = join(import.meta.dirname, '../..');
/** Set by `npm test` where the packages are unpacked instead of installed. */
const RECORDINGS = process.env['VF_SAMPLE_DIR'] ?? '/usr/share/pocketsphinx/test/data/librivox';

/** What `npm run transcribe` prints of a file: the engine alone, all audio at once. */
async function batchTranscript(file: string): Promise<string> {
  const command = [
    '--conditions=source',
    '--import',
    'tsx',
    'services/asr-worker/src/cli/transcribe.ts',
    file,
  ];
  const { stdout } = await promisify(execFile)(process.execPath, command, { cwd: ROOT });
  return stdout.trim();
}

describe('a recording of a human voice, paced like a microphone through the fleet', () => {
  let fleet: Fleet;

  beforeAll(async () => {
    fleet = await Fleet.start([new PocketsphinxEngine({ clock, slots: 1 })]);
  });
  afterAll(() => fleet[Symbol.asyncDispose]());

  it.each(readdirSync(RECORDINGS).filter((name) => name.endsWith('.wav')))(
    '%s gives words before its last frame is sent, and the transcript of the engine alone (Y15)',
    async (name) => {
      const file = join(RECORDINGS, name);
      const expected = batchTranscript(file);
      const { transcript, metrics } = await runSession(readWav(readFileSync(file)).pcm, {
        url: new URL(`ws://127.0.0.1:${fleet.gateways[0]?.port}/api/asr-streaming`),
        apiKey: KEY,
        clock,
      });
      expect(transcript.text).toBe(await expected);
      expect(transcript.finalText).toBe(transcript.text);
      expect(metrics.partialsBeforeLastChunk).toBeGreaterThan(0);
    },
  );
});
