import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { LoadMetrics } from '@voice-fleet/client/load/load-metrics';
import { writeWav } from '@voice-fleet/speech/wav';
import { freePort } from '@voice-fleet/testkit/ports';
import { seriesOf } from '../../scripts/observability/catalogue.ts';
import { CAUSE_GROUPS } from '../../scripts/observability/causes.ts';
import { DASHBOARDS } from '../../scripts/observability/dashboards.ts';
import type { AlertRule } from '../../scripts/observability/rule.ts';
import { SLO_GROUPS } from '../../scripts/observability/slo.ts';
import { runClient } from '../support/client-run.ts';
import { FakeExporter } from '../support/fake-exporter.ts';
import { fliteSays } from '../support/flite-voice.ts';
import { Prometheus } from '../support/prometheus.ts';
import { promtool } from '../support/promtool.ts';
import { until } from '../support/until.ts';
import { KEY, VoiceProcesses } from '../support/voice-processes.ts';
import { YapSocket } from '../support/yap-socket.ts';

const ROOT = join(import.meta.dirname, '../..');
const PATIENCE_MS = 120_000;
/** Several scrapes, also on a machine that is busy. */
const RATE = '60s';

let folder: string;
let fleet: VoiceProcesses;
let exporter: FakeExporter;
let prometheus: Prometheus;
let question: Buffer;
let loadTest: Promise<unknown> | undefined;
let loadTestPort: number;
const over = new AbortController();

/** A file of rules that looks at long windows as often as at short ones: nobody waits for minutes here. */
function rules(name: string): string {
  const text = readFileSync(join(ROOT, 'charts/voice-fleet/rules', name), 'utf8');
  return text.replaceAll(/^ {4}interval: .*\n/gm, '');
}

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), 'voice-observability-'));
  const starting = VoiceProcesses.start({ BATCH_JOBS_MAX: '1', JOBS_DIR: join(folder, 'jobs') });
  [question = Buffer.alloc(0)] = await fliteSays(['what is seven plus five']);
  fleet = await starting;
  exporter = await FakeExporter.start();
  const services = Object.entries(fleet.internalPorts).map(([job, port]) => ({ job, port }));
  loadTestPort = await freePort();
  prometheus = await Prometheus.start(
    [...services, { job: 'beside', port: exporter.port }, { job: 'loadtest', port: loadTestPort }],
    [rules('slo.yaml'), rules('causes.yaml')],
  );
  // What it has not seen at zero it cannot see grow.
  const seen = async (): Promise<boolean> =>
    (await prometheus.query('count(voice_build_info) == 3')).length > 0;
  await until(seen, 'each service was scraped', PATIENCE_MS);
}, PATIENCE_MS);
afterAll(async () => {
  over.abort(new Error('The specs are over.'));
  await loadTest;
  await prometheus?.[Symbol.asyncDispose]();
  await exporter?.[Symbol.asyncDispose]();
  await fleet?.[Symbol.asyncDispose]();
  rmSync(folder, { recursive: true, force: true });
});

const ws = (path: string): string => `${fleet.origin.replace('http', 'ws')}${path}`;

async function request(path: string, body: FormData | string): Promise<number> {
  const headers: Record<string, string> = { 'X-API-Key': KEY };
  if (typeof body === 'string') headers['content-type'] = 'application/json';
  const response = await fetch(`${fleet.origin}${path}`, { method: 'POST', headers, body });
  await response.arrayBuffer();
  return response.status;
}

function recording(): FormData {
  const form = new FormData();
  form.append('file', new Blob([new Uint8Array(writeWav(question, 16_000))]), 'question.wav');
  form.append('model', 'whisper-1');
  return form;
}

/** With the recording that is shipped. */
const client = (command: string, ...flags: string[]) =>
  runClient([command, ...flags], {
    env: { VOXTRAL_SERVER: fleet.origin, VOXTRAL_API_KEY: KEY },
    stop: over.signal,
  });

/** A bit of everything: two dialects, turns with speech, HTTP, a job, a load test, and those who are turned away. */
async function load(): Promise<void> {
  const page = ['--metrics-port', String(loadTestPort), '--metrics-host', '127.0.0.1'];
  // Its page stays until the specs are over.
  const linger = ['--wait', '60', '--linger', '600'];
  // Two sessions, the second when the page was scraped already.
  loadTest = client('loadtest', '--rate', '0.2', '--duration', '10', ...page, ...linger);
  const smoke = await client('smoke', '--health', '--http', '--voice', '--timeout', '100');
  expect(smoke).toMatchObject({ code: 0, stdout: expect.stringContaining('PASSED') });
  expect(smoke.stdout).toMatch(/^stream +ok .*"he might even have been made"/m);

  const stranger = new YapSocket(ws('/api/asr-streaming?api_key=wrong'));
  await stranger.closed;
  stranger.terminate();

  const speech = { model: 'tts-1', voice: 'alloy', input: 'good morning' };
  expect(await request('/v1/audio/speech', JSON.stringify(speech))).toBe(200);
  expect(await request('/v1/audio/speech', '{}')).toBeGreaterThanOrEqual(400);
  const chat = { model: 'any', messages: [{ role: 'user', content: 'good morning' }] };
  expect(await request('/v1/chat/completions', JSON.stringify(chat))).toBeGreaterThan(0);
  expect(await request('/v1/jobs', recording())).toBeLessThan(300);
}

/** A query of a panel as Grafana would send it, with everything chosen. */
const filled = (expr: string): string =>
  expr.replaceAll('$__rate_interval', RATE).replace(/\$(?:namespace|fleet|job|pool)\b/g, '.*');

describe('a fleet of real services, some load, and a real Prometheus', () => {
  it('has pages of metrics without fault to promtool', async () => {
    const pages = Object.entries(fleet.internalPorts).map(async ([service, port]) => {
      return [service, await (await fetch(`http://127.0.0.1:${port}/metrics`)).text()] as const;
    });
    const ofLoad = ['loadtest', await new LoadMetrics('any').registry.metrics()] as const;
    for (const [service, page] of [...(await Promise.all(pages)), ofLoad]) {
      expect({ service, ...(await promtool(['check', 'metrics'], page)) }).toEqual({
        service,
        code: 0,
        text: '',
      });
    }
  });

  it(
    'answers every query of every panel, and every recording rule, with series',
    async () => {
      await load();
      const panels = DASHBOARDS.flatMap(({ uid, rows }) =>
        rows.flatMap((row) =>
          row.panels.flatMap(({ title, queries }) =>
            queries.map(({ expr }) => [`${uid}: ${title}`, filled(expr)] as const),
          ),
        ),
      );
      const recorded = [...SLO_GROUPS, ...CAUSE_GROUPS].flatMap((group) =>
        group.rules.flatMap((rule) => ('record' in rule ? [['rule', rule.record] as const] : [])),
      );
      let silent: (readonly [string, string])[] = [...panels, ...recorded];
      expect(silent.length).toBeGreaterThan(150);
      const all = async (): Promise<boolean> => {
        const asked = silent;
        silent = [];
        for (const query of asked)
          if ((await prometheus.query(query[1])).length === 0) silent.push(query);
        return silent.length === 0;
      };
      // Until two scrapes have seen what the load has made.
      await until(all, 'every query is answered', 45_000).catch(() => undefined);
      expect(silent).toEqual([]);
      expect(await prometheus.ruleFaults()).toEqual([]);
    },
    PATIENCE_MS,
  );

  it('has the series, with the labels, that alerts on causes look at', async () => {
    const alerts = CAUSE_GROUPS.flatMap(({ rules }) => rules).filter(
      (rule): rule is AlertRule => 'alert' in rule,
    );
    const selectors = alerts.flatMap(({ alert, expr }) => {
      // What is matched by `!=` should not be there.
      const matched = expr.match(/[a-zA-Z_]\w+\{[^}!]*\}/g) ?? [];
      return [...matched, ...seriesOf(expr)].map((selector) => [alert, selector] as const);
    });
    expect(selectors.length).toBeGreaterThan(30);
    for (const [alert, selector] of selectors) {
      const found = await prometheus.query(selector);
      expect([alert, selector, found.length > 0]).toEqual([alert, selector, true]);
    }
  });

  it('measures what was done', async () => {
    const measured = async (expr: string): Promise<number> =>
      Number((await prometheus.query(expr))[0]?.value[1]);
    const completed = 'voice_loadtest_sessions_total{outcome="completed"}';
    await until(async () => (await measured(completed)) === 2, 'the load test is over');
    const accepted = 'sum(voice_gateway_admissions_total{outcome="accepted"})';
    await until(async () => (await measured(accepted)) === 5, 'all are counted');
    expect(await measured('sum(voice_gateway_admissions_total{outcome="rejected_auth"})')).toBe(1);
    expect(await measured('sum(voice_gateway_turns_total{outcome="spoken"})')).toBe(1);
    for (const histogram of [
      'voice_worker_asr_first_partial_seconds',
      'voice_worker_asr_final_latency_seconds',
      'voice_gateway_admission_duration_seconds',
      'voice_llm_tts_first_token_seconds',
      'voice_llm_tts_first_speech_seconds',
      'voice_loadtest_admission_seconds',
      'voice_loadtest_first_partial_seconds',
      'voice_loadtest_final_latency_seconds',
    ]) {
      const p95 = `histogram_quantile(0.95, sum by (le) (rate(${histogram}_bucket[5m])))`;
      expect([histogram, Number.isFinite(await measured(p95))]).toEqual([histogram, true]);
    }
  });
});
