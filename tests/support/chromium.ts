import { existsSync, mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { type Browser, type BrowserContextOptions, chromium, type Page } from 'playwright-core';

const SCREENSHOTS = fileURLToPath(new URL('../../.cache/screenshots', import.meta.url));
/** A page on a busy machine. */
const PATIENCE_MS = 60_000;

/** What `npm test` has found or installed. */
const executablePath = process.env['VF_CHROMIUM'] ?? '/usr/bin/chromium';

/** Chromium whose microphone plays `wav` once, from when it is opened, and is silent then. */
export async function launchChromium(wav: string): Promise<Browser> {
  if (!existsSync(executablePath)) {
    throw new Error(
      `There is no browser at ${executablePath}: npm test installs one, and so does apt-get install chromium.`,
    );
  }
  return chromium.launch({
    executablePath,
    args: [
      '--use-fake-device-for-media-stream',
      `--use-file-for-fake-audio-capture=${wav}%noloop`,
      '--autoplay-policy=no-user-gesture-required',
    ],
  });
}

/** One tab with the page, as a person sees it. */
export class Visit implements AsyncDisposable {
  readonly page: Page;
  /** Everything that the browser has complained of: scripts that threw, and what the policy has forbidden. */
  readonly complaints: string[] = [];

  private constructor(page: Page) {
    this.page = page;
    page.setDefaultTimeout(PATIENCE_MS);
    page.on('pageerror', (error) => this.complaints.push(error.message));
    page.on('console', (message) => {
      if (message.type() === 'error') this.complaints.push(message.text());
    });
  }

  static async of(browser: Browser, options: BrowserContextOptions = {}): Promise<Visit> {
    const context = await browser.newContext({
      viewport: { width: 1280, height: 800 },
      permissions: ['microphone'],
      ...options,
    });
    return new Visit(await context.newPage());
  }

  /** Waits until the page says of itself that it is in this state. */
  async state(name: string): Promise<void> {
    await this.page.waitForSelector(`body[data-state="${name}"]`);
  }

  /** What is said and answered in a turn, counted from 1; from the end with a negative number. */
  async turn(number: number): Promise<{ you: string; reply: string }> {
    const index = number > 0 ? number - 1 : number;
    const turn = this.page.locator('.turn').nth(index);
    const [you, reply] = await Promise.all([
      turn.locator('.you .text').textContent(),
      turn.locator('.reply .text').textContent(),
    ]);
    return { you: you ?? '', reply: reply ?? '' };
  }

  /** Of the table: both clocks' texts for t0 to t4. */
  async marks(): Promise<Record<string, { server: string; page: string }>> {
    const rows = await this.page.locator('#marks-rows tr').all();
    const texts = await Promise.all(rows.map((row) => row.locator('th, td').allTextContents()));
    return Object.fromEntries(
      texts.map(([name = '', , server = '', page = '']) => [name, { server, page }]),
    );
  }

  /** What came out of the page: phrases begun, and the loudest sample, 0 to 1. */
  async played(): Promise<{ phrases: number; peak: number }> {
    const meter = this.page.locator('#meter');
    const [phrases, peak] = await Promise.all([
      meter.getAttribute('data-phrases'),
      meter.getAttribute('data-peak'),
    ]);
    return { phrases: Number(phrases), peak: Number(peak) };
  }

  /** Keeps what is to be seen in .cache/screenshots, and says where. */
  async screenshot(name: string): Promise<void> {
    mkdirSync(SCREENSHOTS, { recursive: true });
    const path = join(SCREENSHOTS, `${name}.png`);
    writeFileSync(path, await this.page.screenshot({ animations: 'disabled' }));
    process.stderr.write(`screenshot of the page: ${path}\n`);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.page.context().close();
  }
}
