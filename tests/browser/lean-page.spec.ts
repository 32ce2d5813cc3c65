import { execFile } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { readWav, writeWav } from '@voice-fleet/speech/wav';
import { freePort } from '@voice-fleet/testkit/ports';
import type { Browser } from 'playwright-core';
import { endCommands, startCommand, until } from '../e2e/command.ts';
import { launchChromium, Visit } from '../support/chromium.ts';

const SAY = join(import.meta.dirname, '../../scripts/lib/say.mjs');
const SAID = 'what is the weather like in london';
const SAID_NEXT = 'what can you do';

describe('the lean page in a browser, with a voice in its microphone (P60)', () => {
  let folder: string;
  let url: string;
  let recording: string;
  let browser: Browser;

  async function speech(text: string): Promise<string> {
    const path = join(folder, `${text}.wav`);
    await promisify(execFile)(process.execPath, ['--no-warnings', SAY, path, text]);
    return path;
  }

  const pcmOf = async (path: string): Promise<Buffer> => readWav(await readFile(path)).pcm;

  beforeAll(async () => {
    folder = mkdtempSync(join(tmpdir(), 'lean-page-'));
    const port = await freePort();
    url = `http://127.0.0.1:${port}/`;
    const empty = { VOXTRAL_API_KEY: '', REDIS_URL: '', SERVER_BIND_HOST: '' };
    const lean = startCommand(['scripts/lean.mjs', '--port', String(port)], empty);
    recording = await speech(SAID);
    const [first, second] = await Promise.all([recording, await speech(SAID_NEXT)].map(pcmOf));
    const microphone = join(folder, 'microphone.wav');
    const silence = (seconds: number): Buffer => Buffer.alloc(seconds * 32_000);
    const said = [silence(0.5), first, silence(3), second, silence(2)] as Buffer[];
    writeFileSync(microphone, writeWav(Buffer.concat(said), 16_000));
    browser = await launchChromium(microphone);
    await until(() => lean.stderr.includes('Ctrl+C stops everything'), 'it is up');
  });
  afterAll(async () => {
    await browser?.close();
    await endCommands();
    rmSync(folder, { recursive: true });
  });

  it('shows what is said while it is said, turn after turn, and asks for no key', async () => {
    await using visit = await Visit.of(browser);
    const { page } = visit;
    await page.goto(url);
    await visit.state('ready');
    expect(await page.getByLabel('Voice', { exact: true }).isDisabled()).toBe(true);
    await page.getByText('Hands-free').click();
    await page.getByRole('button', { name: 'Talk' }).click();
    await page.waitForSelector('.you .text.unsettled:not(:empty)');
    // Each turn on a connection of its own, without a click or a reload between.
    await page.waitForSelector('.turn:nth-child(2)[data-outcome="complete"]');
    await visit.screenshot('lean');
    expect((await visit.turn(1)).you).toMatch(/weather like in london/);
    expect((await visit.turn(2)).you).toMatch(/what can you do/);
    const { t0, t2 } = await visit.marks();
    for (const mark of [t0, t2])
      expect([mark?.server, mark?.page]).toEqual(
        Array(2).fill(expect.stringMatching(/^\d.* m?s$/)),
      );
    await page.keyboard.press('Escape');
    await visit.state('complete');
    expect(visit.complaints).toEqual([]);
  });

  it('transcribes a recording, and says what is wrong with another', async () => {
    await using visit = await Visit.of(browser);
    const { page } = visit;
    await page.goto(url);
    await visit.state('ready');
    await page.setInputFiles('#file-input', recording);
    await visit.state('complete');
    expect((await visit.turn(1)).you).toBe(SAID);
    const empty = join(folder, 'empty.wav');
    writeFileSync(empty, '');
    await page.setInputFiles('#file-input', empty);
    await page.getByText('This file holds no audio').waitFor();
  });
});
