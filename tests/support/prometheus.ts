import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { freePort } from '@voice-fleet/testkit/ports';
import { prometheusPath } from './promtool.ts';
import { until } from './until.ts';

const PATIENCE_MS = 60_000;

/** What Prometheus answers to a query: series with their value now. */
export type Found = readonly {
  readonly metric: Record<string, string>;
  readonly value: readonly [number, string];
}[];

export interface Scraped {
  readonly job: string;
  readonly port: number;
}

/** The real Prometheus, which looks each second. */
export class Prometheus implements AsyncDisposable {
  readonly url: string;
  readonly #child: ChildProcess;
  readonly #folder: string;

  private constructor(url: string, child: ChildProcess, folder: string) {
    this.url = url;
    this.#child = child;
    this.#folder = folder;
  }

  /** `rules`: files of rules, as text. */
  static async start(scraped: readonly Scraped[], rules: readonly string[]): Promise<Prometheus> {
    const folder = mkdtempSync(join(tmpdir(), 'voice-prometheus-'));
    rules.forEach((text, index) => {
      writeFileSync(join(folder, `rules-${index}.yaml`), text);
    });
    const config = {
      global: { scrape_interval: '1s', evaluation_interval: '1s' },
      rule_files: [join(folder, 'rules-*.yaml')],
      scrape_configs: scraped.map(({ job, port }) => ({
        job_name: job,
        static_configs: [{ targets: [`127.0.0.1:${port}`] }],
      })),
    };
    const path = join(folder, 'prometheus.yml');
    writeFileSync(path, JSON.stringify(config));
    const port = await freePort();
    const child = spawn(
      prometheusPath(),
      [
        `--config.file=${path}`,
        `--storage.tsdb.path=${join(folder, 'data')}`,
        `--web.listen-address=127.0.0.1:${port}`,
      ],
      { stdio: 'ignore' },
    );
    const prometheus = new Prometheus(`http://127.0.0.1:${port}`, child, folder);
    const ready = async (): Promise<boolean> =>
      (await fetch(`${prometheus.url}/-/ready`).catch(() => undefined))?.ok ?? false;
    await until(ready, 'Prometheus is ready', PATIENCE_MS);
    return prometheus;
  }

  async query(expr: string): Promise<Found> {
    const body = new URLSearchParams({ query: expr });
    const response = await fetch(`${this.url}/api/v1/query`, { method: 'POST', body });
    const answer = (await response.json()) as { error?: string; data?: { result: Found } };
    if (answer.data === undefined) throw new Error(`${expr}: ${answer.error}`);
    return answer.data.result;
  }

  /** What is wrong with the rules, as Prometheus tells after it has tried them. */
  async ruleFaults(): Promise<string[]> {
    const response = await fetch(`${this.url}/api/v1/rules`);
    const { data } = (await response.json()) as {
      data: { groups: { rules: { name: string; lastError?: string }[] }[] };
    };
    return data.groups
      .flatMap(({ rules }) => rules)
      .flatMap(({ name, lastError }) => (lastError ? [`${name}: ${lastError}`] : []));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const gone = once(this.#child, 'close');
    if (this.#child.exitCode === null && this.#child.signalCode === null) {
      this.#child.kill('SIGKILL');
      await gone;
    }
    rmSync(this.#folder, { recursive: true, force: true });
  }
}
