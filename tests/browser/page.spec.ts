import { execFile } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { readWav, writeWav } from '@voice-fleet/speech/wav';
import type { Browser, WebSocketRoute } from 'playwright-core';
import { launchChromium, Visit } from '../support/chromium.ts';
import { KEY, VoiceProcesses } from '../support/voice-processes.ts';

const SAY = join(import.meta.dirname, '../../scripts/lib/say.mjs');
const QUESTION = 'what is the weather like in london';
const INTERRUPTION = 'what can you do';
const FAREWELL = 'thank you for your help and goodbye';

const silence = (seconds: number): Buffer => Buffer.alloc(Math.round(seconds * 16_000) * 2);

/** The share of the words said that stand, in their order, in what was heard. */
function heardOf(said: string, heard: string): number {
  const words: readonly string[] = heard.toLowerCase().match(/[a-z']+/g) ?? [];
  let at = 0;
  const found = said.split(' ').filter((word) => {
    const index = words.findIndex((other, place) => place >= at && other === word);
    if (index >= 0) at = index + 1;
    return index >= 0;
  });
  return found.length / said.split(' ').length;
}

describe('the page in a browser, with a voice in its microphone (P52)', () => {
  let folder: string;
  let fleet: VoiceProcesses;
  let browser: Browser;

  async function speech(text: string): Promise<Buffer> {
    const path = join(folder, `${text}.wav`);
    await promisify(execFile)(process.execPath, ['--no-warnings', SAY, path, text]);
    return readWav(readFileSync(path)).pcm;
  }

  beforeAll(async () => {
    folder = mkdtempSync(join(tmpdir(), 'voice-fleet-page-'));
    const starting = VoiceProcesses.start();
    const [question, interruption] = await Promise.all([speech(QUESTION), speech(INTERRUPTION)]);
    await speech(FAREWELL);
    // The reply to the question takes ten seconds to say; somebody cuts in after two or three.
    const said = [silence(0.5), question, silence(3.5), interruption, silence(1)];
    const microphone = join(folder, 'microphone.wav');
    writeFileSync(microphone, writeWav(Buffer.concat(said), 16_000));
    fleet = await starting;
    browser = await launchChromium(microphone);
  });
  afterAll(async () => {
    await browser?.close();
    await fleet?.[Symbol.asyncDispose]();
    rmSync(folder, { recursive: true });
  });

  /** The page, with the key from its address. */
  async function signedIn(options: Parameters<typeof Visit.of>[1] = {}): Promise<Visit> {
    const visit = await Visit.of(browser, options);
    await visit.page.goto(`${fleet.origin}/#key=${KEY}`);
    await visit.state('ready');
    return visit;
  }

  it('shows what is said, answers in text and sound, and falls silent when somebody cuts in', async () => {
    await using visit = await Visit.of(browser);
    const { page } = visit;
    await page.goto(fleet.origin);
    await visit.state('signed-out');
    await visit.screenshot('signed-out');
    await page.getByLabel('API key').fill(KEY);
    await page.keyboard.press('Enter');
    await visit.state('ready');

    await page.getByRole('button', { name: 'Talk' }).click();
    await visit.state('listening');
    await page.waitForSelector('.you .text:not(:empty)');
    await visit.screenshot('listening');
    await visit.state('responding');
    await page.waitForSelector('#meter[data-phrases="1"]');
    await visit.screenshot('responding');
    expect(heardOf(QUESTION, (await visit.turn(1)).you)).toBeGreaterThanOrEqual(0.8);

    // Cut in on, it listens again, at once and without a click.
    await page.waitForSelector('.turn:nth-child(2)');
    expect(await page.getAttribute('#meter', 'data-sounds')).toBe('false');
    // Token by token.
    const reply = page.locator('.turn:nth-child(2) .reply .text');
    await reply.filter({ hasText: 'No language model' }).waitFor();
    const [first, second] = [await visit.turn(1), await visit.turn(2)];
    expect(first.reply).toMatch(/built-in rules\. I heard: .*london/);
    expect(heardOf(INTERRUPTION, second.you)).toBeGreaterThanOrEqual(0.8);
    expect((await visit.played()).peak).toBeGreaterThan(0.05);
    await page.keyboard.press('Escape');
    await visit.state('complete');

    expect(page.url()).toBe(`${fleet.origin}/`);
    expect(visit.complaints).toEqual([]);
  });

  it('plays a recording to the server, and shows all marks of both clocks', async () => {
    await using visit = await signedIn({ colorScheme: 'dark' });
    const { page } = visit;
    // The key came with the address, and is not there any more.
    expect(page.url()).toBe(`${fleet.origin}/`);
    await page.setInputFiles('#file-input', join(folder, `${FAREWELL}.wav`));
    await visit.state('listening');
    await visit.state('responding');
    await visit.state('complete');
    await visit.screenshot('complete-dark');
    const { you, reply } = await visit.turn(1);
    expect([you, reply]).toEqual([FAREWELL, 'Goodbye. It was good to hear from you.']);
    expect((await visit.played()).phrases).toBe(2);
    const marks = await visit.marks();
    expect(Object.keys(marks)).toEqual(['t0', 't1', 't2', 't3', 't4']);
    for (const { server, page: seen } of Object.values(marks))
      expect([server, seen]).toEqual(
        Array(2).fill(expect.stringMatching(/^\d+ ms$|^\d+\.\d\d s$/)),
      );
    expect(await page.locator('#announcer').textContent()).toBe(`Reply: ${reply}`);

    await page.setViewportSize({ width: 360, height: 740 });
    await visit.screenshot('complete-narrow');
    const overflow = 'document.documentElement.scrollWidth - innerWidth';
    expect(await page.evaluate(overflow)).toBeLessThanOrEqual(0);
    await page.getByRole('button', { name: 'Switch to light colours' }).click();
    await page.setViewportSize({ width: 1280, height: 800 });
    await visit.screenshot('complete');
    expect(visit.complaints).toEqual([]);
  });

  it('is spoken to with a key held, and transcribes alone where that is asked for', async () => {
    await using visit = await signedIn();
    const { page } = visit;
    await page.getByText('Transcribe').click();
    await page.locator('body').click({ position: { x: 400, y: 300 } });
    await page.keyboard.down('Space');
    await visit.state('listening');
    await page.locator('.you .text', { hasText: 'weather' }).waitFor();
    await page.keyboard.up('Space');
    await visit.state('complete');
    const { you, reply } = await visit.turn(1);
    expect(you).toMatch(/^what is the weather/);
    expect(reply).toBe('');
  });

  it('thinks, and can be told to stop', async () => {
    const visit = await Visit.of(browser);
    await using _visit = visit;
    const held = await routed(visit, (frame) => /"llm_token"|"tts_/.test(frame));
    await visit.page.goto(`${fleet.origin}/#key=${KEY}`);
    await visit.state('ready');
    await visit.page.setInputFiles('#file-input', join(folder, `${FAREWELL}.wav`));
    await visit.state('thinking');
    await held.first;
    await visit.screenshot('thinking');
    await visit.page.getByRole('button', { name: 'Cancel' }).click();
    await visit.page.waitForSelector('.turn[data-outcome="cancelled"]');
    expect((await visit.played()).phrases).toBe(0);
  });

  it('comes back by itself when the connection breaks', async () => {
    const visit = await Visit.of(browser);
    await using _visit = visit;
    const connection = await routed(visit, () => false);
    const { page } = visit;
    connection.open = false;
    await page.goto(`${fleet.origin}/#key=${KEY}`);
    await visit.state('connecting');
    await visit.screenshot('connecting');
    await connection.cut();
    await visit.state('reconnecting');
    await visit.screenshot('reconnecting');
    connection.open = true;
    await visit.state('ready');
    expect(connection.count).toBe(2);
    expect(await page.locator('#link').textContent()).toBe('Connected');
  });

  it('says that a key is wrong, and forgets it', async () => {
    await using visit = await Visit.of(browser);
    const { page } = visit;
    await page.goto(`${fleet.origin}/#key=wrong`);
    await visit.state('error');
    await visit.screenshot('error');
    expect(await page.getByRole('alert').textContent()).toContain('This key is not accepted');
    expect(await page.evaluate('sessionStorage.length')).toBe(0);
    expect(await page.locator(':focus').getAttribute('id')).toBe('key');
  });

  it('offers a recording where the microphone is refused', async () => {
    await using visit = await signedIn({ permissions: [] });
    const { page } = visit;
    await page.getByRole('button', { name: 'Talk' }).click();
    await visit.state('error');
    await visit.screenshot('microphone-refused');
    expect(await page.getByRole('alert').textContent()).toContain('The microphone is blocked');
    const chooser = page.waitForEvent('filechooser');
    await page.getByRole('button', { name: 'Choose a recording' }).click();
    await (await chooser).setFiles(join(folder, `${FAREWELL}.wav`));
    await visit.state('complete');
    expect((await visit.turn(1)).you).toBe(FAREWELL);
  });
});

/** The way to the real server, with a hand on it: frames that `holds` names do not come through. */
async function routed(visit: Visit, holds: (frame: string) => boolean) {
  let onHeld: () => void = () => undefined;
  let current: WebSocketRoute | undefined;
  const control = {
    /** While false, connections are taken and nobody is behind them. */
    open: true,
    count: 0,
    /** Settles when a frame was held. */
    first: new Promise<void>((resolve) => {
      onHeld = resolve;
    }),
    cut: () => current?.close({ code: 1012, reason: 'cut' }),
  };
  await visit.page.routeWebSocket(/\/ws\?/, (socket) => {
    current = socket;
    control.count += 1;
    if (!control.open) return;
    const server = socket.connectToServer();
    server.onMessage((frame) => {
      if (holds(String(frame))) onHeld();
      else socket.send(frame);
    });
  });
  return control;
}
