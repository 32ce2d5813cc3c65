import { mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { fleetFolder, sweepFleets } from './lib/fleet-file.mjs';
import { ended } from './lib/local-fleet.mjs';
import { ensureNodeModules } from './lib/node-modules.mjs';
import { paint, say, tell } from './lib/output.mjs';
import { repoRoot } from './lib/paths.mjs';
import { answersOk, isFree, poll } from './lib/ports.mjs';
import { Processes } from './lib/processes.mjs';
import { untilStopped } from './lib/stop.mjs';
import { ensureSystem } from './lib/system.mjs';

const HELP = `npm run observe [-- options]

Starts Prometheus (Debian's, unpacked into .cache) beside the fleets that npm start runs on this machine, with the
alerts of charts/voice-fleet, and tells where to look and which alerts begin and end. A fleet that is started later is
found within seconds. What it has stored is gone when it stops. Ctrl+C stops it.

  --port N   its port on 127.0.0.1 (default: 9090)
  --json     print addresses as one JSON object on stdout; everything else goes to stderr
  --help     print this`;

const WITH_PARENT = fileURLToPath(new URL('lib/with-parent.mjs', import.meta.url));
const DASHBOARDS = 'charts/voice-fleet/dashboards';
const READY_TIMEOUT_MS = 30_000;
const SCRAPE_S = 5;

async function main() {
  const options = readOptions();
  if (options.help) {
    console.log(HELP);
    return 0;
  }
  await ensureNodeModules();
  const { env: found } = await ensureSystem({ needRedis: false, needPrometheus: true });
  if (!(await isFree(options.port, '127.0.0.1')))
    throw new Error(
      `Port ${options.port} is taken: run \`npm run observe -- --port ${options.port + 1}\`.`,
    );
  const folder = mkdtempSync(join(tmpdir(), 'voice-fleet-observe-'));
  const processes = new Processes((name, line) => {
    if (/level=(warn|error)/.test(line)) tell(name, line);
  });
  try {
    return await untilStopped(processes, () =>
      observe(processes, folder, found.VF_PROMETHEUS, options),
    );
  } finally {
    await processes.stopAll();
    rmSync(folder, { recursive: true, force: true });
  }
}

function readOptions() {
  let values;
  try {
    ({ values } = parseArgs({
      options: {
        port: { type: 'string', default: '9090' },
        json: { type: 'boolean', default: false },
        help: { type: 'boolean', default: false },
      },
    }));
  } catch (error) {
    throw new Error(`${error.message}\nSee \`npm run observe -- --help\`.`);
  }
  const port = Number(values.port);
  if (!Number.isInteger(port) || port < 1 || port > 65_535)
    throw new Error(`--port takes a whole number from 1 to 65535, not "${values.port}".`);
  return { ...values, port };
}

async function observe(processes, folder, prometheus, { port, json }) {
  const fleets = sweepFleets();
  const config = join(folder, 'prometheus.yml');
  // JSON is YAML.
  writeFileSync(config, JSON.stringify(settings()));
  const child = processes.start('prometheus', process.execPath, [
    WITH_PARENT,
    prometheus,
    `--config.file=${config}`,
    `--storage.tsdb.path=${join(folder, 'data')}`,
    '--storage.tsdb.retention.time=31d',
    '--enable-feature=exemplar-storage',
    `--web.listen-address=127.0.0.1:${port}`,
  ]);
  const crash = child.exited.then(({ code, signal }) => {
    throw new Error(ended(child, code ?? signal));
  });
  crash.catch(() => {});
  const url = `http://127.0.0.1:${port}`;
  const ready = poll(() => answersOk(`${url}/-/ready`), { timeoutMs: READY_TIMEOUT_MS });
  if ((await Promise.race([ready, crash])) === false)
    throw new Error(`Prometheus is not ready after ${READY_TIMEOUT_MS / 1_000} s (${url}).`);
  const dashboards = readdirSync(join(repoRoot, DASHBOARDS)).map((name) => `${DASHBOARDS}/${name}`);
  if (json) console.log(JSON.stringify({ url, fleets, fleetFolder, dashboards }));
  printWhereToLook(url, fleets, dashboards);
  await Promise.race([crash, tellAlerts(url)]);
  return 0;
}

function settings() {
  return {
    global: { scrape_interval: `${SCRAPE_S}s`, evaluation_interval: `${SCRAPE_S}s` },
    rule_files: [join(repoRoot, 'charts/voice-fleet/rules/*.yaml')],
    scrape_configs: [
      {
        job_name: 'voice-fleet',
        file_sd_configs: [
          { files: [join(fleetFolder, '*.json')], refresh_interval: `${SCRAPE_S}s` },
        ],
      },
    ],
  };
}

const QUESTIONS = {
  sessions: 'sum by (protocol) (voice_gateway_sessions_active)',
  'slots taken': 'sum by (pool) (voice_worker_slots_used) / sum by (pool) (voice_worker_slots)',
  'first text, p95':
    'histogram_quantile(0.95, sum by (le) (rate(voice_worker_asr_first_partial_seconds_bucket[5m])))',
};

function printWhereToLook(url, fleets, dashboards) {
  const row = (label, value) => say(`  ${paint('dim', label.padEnd(18))}${value}`);
  say();
  say(paint('bold', '  Prometheus watches the fleets of this machine'));
  row('now', fleets === 0 ? 'none: `npm start` in another terminal' : `${fleets} of them`);
  row('Prometheus', url);
  row('targets', `${url}/api/v1/targets`);
  row('alerts', `${url}/api/v1/alerts`);
  row('rules', `${url}/api/v1/rules`);
  say();
  for (const [label, query] of Object.entries(QUESTIONS))
    row(label, `${url}/api/v1/query?query=${encodeURIComponent(query)}`);
  say();
  say(
    `  Prometheus's own pages are there where Debian's package is installed. For the ${dashboards.length} dashboards take`,
  );
  say(
    `  Grafana: add ${url} as a data source of the kind Prometheus, then Dashboards, New, Import:`,
  );
  for (const path of dashboards) row('', path);
  say();
  say('  Ctrl+C stops it.');
  say();
}

/** Tells of alerts that begin and end, as long as Prometheus runs. */
async function tellAlerts(url) {
  let before = new Map();
  for (;;) {
    await delay(SCRAPE_S * 1_000);
    const now = await firing(url).catch(() => before);
    for (const [key, text] of now) if (!before.has(key)) tell('alert', text, 'red');
    for (const [key, text] of before) if (!now.has(key)) tell('over', text, 'green');
    before = now;
  }
}

async function firing(url) {
  const response = await fetch(`${url}/api/v1/alerts`, { signal: AbortSignal.timeout(2_000) });
  const { data } = await response.json();
  const alerts = data.alerts.filter(({ state }) => state === 'firing');
  return new Map(
    alerts.map(({ labels, annotations }) => [
      JSON.stringify(labels),
      `${labels.alertname} (${labels.severity}): ${annotations.summary} ${annotations.runbook_url}`,
    ]),
  );
}

main().then(
  (code) => process.exit(code),
  (error) => {
    say(paint('red', error.message));
    process.exit(1);
  },
);
