import { paint, say } from '../output.mjs';
import { isAlive, remnants, uptimeS } from './identity.mjs';
import { planOf } from './plan.mjs';
import { asStarted, lastRun, readPidFile, readState } from './run-files.mjs';
import { table } from './table.mjs';

const STATUS_EXIT = { running: 0, stale: 1, 'not running': 3 };
const ASK_TIMEOUT_MS = 2_000;

/** Prints what runs; returns 0 when it runs, 1 when a dead supervisor has left something, 3 when nothing runs. */
export async function status(settings, { json }) {
  const report = await look(settings);
  if (json) console.log(JSON.stringify(report));
  else show(report);
  return STATUS_EXIT[report.status];
}

async function look(settings) {
  const supervisor = readPidFile(settings);
  const state = readState(settings);
  if (!isAlive(supervisor)) {
    const left = remnants(lastRun(settings)).map(({ pid }) => pid);
    const stale = supervisor !== undefined || left.length > 0;
    return {
      status: stale ? 'stale' : 'not running',
      pid: supervisor?.pid,
      left,
      failure: state?.failure && `${state.failure.name}: ${state.failure.how}`,
      log: settings.logFile,
    };
  }
  const started = asStarted(settings);
  const ready = await readiness(started);
  const fleet = await askGateway(started);
  return {
    status: 'running',
    // The supervisor writes its state right after its pid file.
    phase: state?.phase ?? 'starting',
    ready: fleet?.ready ?? false,
    reason: fleet?.reason,
    pid: supervisor.pid,
    uptimeS: uptimeS(supervisor),
    url: `http://${started.address}`,
    slots: fleet?.slots,
    leased: fleet?.leased,
    log: settings.logFile,
    children: (state?.children ?? []).map(({ name, pid, since, restarts, lastExit }) => ({
      name,
      pid,
      uptimeS: isAlive({ pid, since }) ? uptimeS({ since }) : undefined,
      ready: ready[name] ?? false,
      restarts,
      lastExit,
    })),
  };
}

async function readiness(settings) {
  const asked = planOf(settings, process.env).map(async ({ name, ready }) => [
    name,
    await ready().catch(() => false),
  ]);
  return Object.fromEntries(await Promise.all(asked));
}

/** What the gateway says of its fleet, ready or not. */
async function askGateway({ address }) {
  try {
    const signal = AbortSignal.timeout(ASK_TIMEOUT_MS);
    return await (await fetch(`http://${address}/readyz`, { signal })).json();
  } catch {
    return undefined;
  }
}

function show(report) {
  if (report.status === 'not running') {
    console.log(
      report.failure ? `not running; the last start failed: ${report.failure}` : 'not running',
    );
    return;
  }
  if (report.status === 'stale') {
    const left = report.left.length > 0 ? `; left over: ${report.left.join(' ')}` : '';
    console.log(`stale: the supervisor (pid ${report.pid}) is gone${left}`);
    say('`npm run gpu -- stop` cleans up, `start` does so too.');
    return;
  }
  const slots =
    report.slots === undefined ? '' : `, ${report.leased} of ${report.slots} slots in use`;
  const reason = report.reason ? ` (${report.reason})` : '';
  console.log(
    `running for ${duration(report.uptimeS)}: ${report.ready ? 'ready' : 'not ready'}${reason}${slots}`,
  );
  console.log(`${report.url}, log ${report.log}\n`);
  const rows = report.children.map((child) => [
    child.name,
    child.pid ?? '-',
    child.uptimeS === undefined ? '-' : duration(child.uptimeS),
    child.ready ? paint('green', 'yes') : paint('yellow', 'no'),
    child.restarts,
    child.lastExit ?? '',
  ]);
  const supervisor = ['supervisor', report.pid, duration(report.uptimeS), '', '', ''];
  console.log(
    table(['name', 'pid', 'uptime', 'ready', 'restarts', 'last exit'], [supervisor, ...rows]),
  );
}

/** Seconds as `1d 2h`, `3h 4m`, `5m 6s` or `7s`. */
function duration(seconds) {
  const parts = [
    [Math.floor(seconds / 86_400), 'd'],
    [Math.floor(seconds / 3_600) % 24, 'h'],
    [Math.floor(seconds / 60) % 60, 'm'],
    [seconds % 60, 's'],
  ];
  const first = parts.findIndex(([count]) => count > 0);
  const shown = first < 0 ? parts.slice(3) : parts.slice(first, first + 2);
  return shown.map(([count, unit]) => `${count}${unit}`).join(' ');
}
