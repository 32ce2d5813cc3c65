import { execFile } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { afterAll, beforeAll, describe, expect, it, jest } from '@jest/globals';
import { readWav, writeWav } from '@voice-fleet/speech/wav';
import { freePort } from '@voice-fleet/testkit/ports';
import type { Browser } from 'playwright-core';
import { endCommands, startCommand, until } from '../e2e/command.ts';
import { launchChromium, Visit } from '../support/chromium.ts';

jest.setTimeout(90_000);

const SAY = join(import.meta.dirname, '../../scripts/lib/say.mjs');
const SAID = 'what is the weather like in london';

describe('the lean page in a browser, with a voice in its microphone (P60)', () => {
  let folder: string;
  let url: string;
  let recording: string;
  let browser: Browser;

  beforeAll(async () => {
    folder = mkdtempSync(join(tmpdir(), 'lean-page-'));
    const port = await freePort();
    url = `http://127.0.0.1:${port}/`;
    const empty = { VOXTRAL_API_KEY: '', REDIS_URL: '', SERVER_BIND_HOST: '' };
    const lean = startCommand(['scripts/lean.mjs', '--port', String(port)], empty);
    recording = join(folder, 'said.wav');
    await promisify(execFile)(process.execPath, ['--no-warnings', SAY, recording, SAID]);
    const { pcm } = readWav(await readFile(recording));
    const microphone = join(folder, 'microphone.wav');
    // Long enough for one turn, however often the browser begins anew.
    const silence = Buffer.alloc(3 * 32_000);
    writeFileSync(
      microphone,
      writeWav(Buffer.concat([silence.subarray(0, 16_000), pcm, silence]), 16_000),
    );
    browser = await launchChromium(microphone);
    await until(() => lean.stderr.includes('Ctrl+C stops everything'), 'it is up', 60_000);
  });
  afterAll(async () => {
    await browser?.close();
    await endCommands();
    rmSync(folder, { recursive: true });
  });

  it('shows what is said while it is said, then the final text and how long it took', async () => {
    await using visit = await Visit.of(browser);
    const { page } = visit;
    await page.goto(url);
    await page.getByRole('button', { name: 'Speak' }).click();
    await page.waitForSelector('#text.partial:not(:empty)');
    await page.getByText('You paused.').waitFor();
    await page.waitForSelector('#text:not(.partial):not(:empty)');
    expect(await page.textContent('#text')).toMatch(/weather like in london/);
    await page.getByText(/first text after \d+ ms, final text after \d+ ms/).waitFor();
    await visit.screenshot('lean');
    // The next utterance takes a click and no reload.
    await page.getByRole('button', { name: 'Speak' }).waitFor();
    expect(visit.complaints).toEqual([]);
  });

  it('transcribes a file, and says what is wrong with another', async () => {
    await using visit = await Visit.of(browser);
    const { page } = visit;
    await page.goto(url);
    await page.setInputFiles('#file', recording);
    await page.getByText('Done.').waitFor();
    expect(await page.textContent('#text')).toBe(SAID);
    await page.setInputFiles('#file', join(folder, 'microphone.wav'));
    await page.getByText('Done.').waitFor();
    const empty = join(folder, 'empty.wav');
    writeFileSync(empty, '');
    await page.setInputFiles('#file', empty);
    await page.getByText('The recording is empty.').waitFor();
  });
});
