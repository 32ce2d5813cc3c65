import { sleep } from '@voice-fleet/runtime/clock';
import { type InternalServer, startInternalServer } from '@voice-fleet/telemetry/internal-server';
import { LoadMetrics } from '../load/load-metrics.ts';
import { LoadTest } from '../load/load-test.ts';
import type { Scenario } from '../load/scenario.ts';
import { judgeLoad, type LoadLimits } from '../load/thresholds.ts';
import {
  type CliIo,
  CONNECTION_HELP,
  type Command,
  connectOptions,
  parseFlags,
  positive,
  positiveInteger,
  printableUrls,
  SURVIVAL,
  SURVIVAL_HELP,
  seconds,
  UsageError,
} from './flags.ts';
import { EXIT, guarded } from './guard.ts';
import { keysOf, PLAN, PLAN_HELP, planOf, recordingsOf } from './loadtest-plan.ts';
import { loadJson, loadText } from './loadtest-report.ts';
import { showProgress } from './progress.ts';
import { printJson } from './report.ts';

const MAX_PORT = 65_535;

const FLAGS = {
  ...PLAN,
  ...SURVIVAL,
  utterance: { type: 'string', multiple: true },
  speed: { type: 'string', default: '1' },
  'keys-file': { type: 'string' },
  'max-sessions': { type: 'string', default: '1000' },
  'stop-grace': { type: 'string', default: '10' },
  'max-refused-ratio': { type: 'string', default: '0' },
  'max-error-ratio': { type: 'string', default: '0' },
  'max-deviating-ratio': { type: 'string' },
  'p95-first-partial-ms': { type: 'string' },
  'p95-final-ms': { type: 'string' },
  'metrics-port': { type: 'string' },
  'metrics-host': { type: 'string', default: '0.0.0.0' },
  linger: { type: 'string', default: '0' },
} as const;

export const loadtest: Command = {
  summary: 'put load on a fleet by a schedule that waits for no answer, and judge it',
  help: `npm run client -- loadtest [flags]

Sessions begin at the moments of a schedule, whatever becomes of those before (bench runs so
many at a time instead). Exit code 0 when all thresholds were kept, 1 when not, 130 after Ctrl+C,
143 after SIGTERM. After either of these it still prints what it has.

${PLAN_HELP}

  --utterance PATH     recording to speak, several are taken in turn; 16 kHz mono WAV needs no
                       ffmpeg (default: two seconds that are shipped). A .txt of the same name
                       says what is said in it
  --speed FACTOR       1 is real time (default)
  --keys-file PATH     API keys, one a line, which sessions take in turn (several tenants);
                       default: $VOXTRAL_API_KEYS, separated by commas, or the one key
  --max-sessions N     at a time; those that would be more are skipped, which fails (default 1000)
  --stop-grace SECONDS after SIGTERM, for utterances under way (default 10)

Thresholds:
  --max-refused-ratio R        of the sessions begun (default 0)
  --max-error-ratio R          of the sessions begun (default 0)
  --max-deviating-ratio R      transcripts that are not the most frequent one of their recording
  --p95-first-partial-ms MS    first audio to first word
  --p95-final-ms MS            end of an utterance to its final

Metrics:
  --metrics-port N     serves /metrics while it runs (0 takes a free port)
  --metrics-host ADDR  where (default 0.0.0.0)
  --linger SECONDS     goes on serving them after the end, for the last scrape (default 0)

${SURVIVAL_HELP}

${CONNECTION_HELP}`,
  stopsItself: true,
  run: runLoadTest,
};

async function runLoadTest(args: readonly string[], io: CliIo): Promise<number> {
  const flags = parseFlags(args, FLAGS);
  const connect = connectOptions(flags, io);
  const server = printableUrls(connect.urls);
  const scenario = await planOf(flags);
  const limits = limitsOf(flags);
  const speed = positive(flags.speed, 'speed');
  const maxSessions = positiveInteger(flags['max-sessions'], 'max-sessions');
  const graceMs = seconds(flags['stop-grace'], 'stop-grace') * 1000;
  const lingerMs = seconds(flags.linger, 'linger') * 1000;
  const port = portOf(flags['metrics-port']);
  const keys = await keysOf(flags, io, connect.apiKey);
  const stop = io.stop ?? new AbortController().signal;
  return await guarded({ server, json: flags.json, debug: flags.debug }, io, async () => {
    const recordings = await recordingsOf(flags.utterance, io);
    const metrics = port === undefined ? undefined : new LoadMetrics(scenario.name);
    const page = metrics && (await serve(metrics, { port, host: flags['metrics-host'] }, io));
    try {
      const test = new LoadTest({
        scenario,
        recordings,
        // Places in line of a thousand sessions are no help to anybody.
        connect: { ...connect, onStatus: () => {} },
        keys,
        speed,
        maxSessions,
        clock: io.clock,
        metrics,
        stop,
        graceMs,
        signal: io.signal,
      });
      io.stderr(
        `${scenario.name}: ${recordings.map(({ name }) => name).join(', ')} to ${server}\n`,
      );
      const stopProgress = showProgress(io, () => progressLine(test, scenario));
      const result = await test.run().finally(stopProgress);
      const verdicts = judgeLoad(result, limits);
      const stoppedBy = io.signal.aborted ? 'interrupt' : stop.aborted ? 'SIGTERM' : undefined;
      const ok = verdicts.every(({ pass }) => pass) && stoppedBy === undefined;
      const outcome = { scenario, server, result, verdicts, stoppedBy, ok } as const;
      if (flags.json) printJson(io.stdout, loadJson(outcome));
      else io.stdout(loadText(outcome));
      if (result.generator.saturated) io.stderr(SATURATED);
      if (page && lingerMs > 0) await linger(lingerMs, stop, io);
      if (stoppedBy === 'interrupt') return EXIT.interrupted;
      if (stoppedBy === 'SIGTERM') return EXIT.stopped;
      return ok ? EXIT.ok : EXIT.failed;
    } finally {
      await page?.close();
    }
  });
}

const SATURATED =
  'Warning: the generator is saturated: it was late itself, and what it measured is not the fleet alone. ' +
  'Give it more processor, or share the load among several.\n';

type Flags = ReturnType<typeof parseFlags<typeof FLAGS>>;

function limitsOf(flags: Flags): LoadLimits {
  const ratio = (flag: 'max-refused-ratio' | 'max-error-ratio' | 'max-deviating-ratio') => {
    const text = flags[flag];
    if (text === undefined) return undefined;
    const value = seconds(text, flag);
    if (value > 1) throw new UsageError(`--${flag} takes a number from 0 to 1, not "${text}".`);
    return value;
  };
  const ms = (flag: 'p95-first-partial-ms' | 'p95-final-ms') => {
    const text = flags[flag];
    return text === undefined ? undefined : positive(text, flag);
  };
  return {
    refusedRatio: ratio('max-refused-ratio'),
    errorRatio: ratio('max-error-ratio'),
    deviatingRatio: ratio('max-deviating-ratio'),
    firstPartialP95Ms: ms('p95-first-partial-ms'),
    finalP95Ms: ms('p95-final-ms'),
  };
}

function portOf(text: string | undefined): number | undefined {
  if (text === undefined) return undefined;
  const port = Number(text);
  if (text.trim() === '' || !Number.isInteger(port) || port < 0 || port > MAX_PORT) {
    throw new UsageError(`--metrics-port takes a port, not "${text}".`);
  }
  return port;
}

async function serve(
  { registry }: LoadMetrics,
  { port = 0, host }: { port: number | undefined; host: string },
  io: CliIo,
): Promise<InternalServer> {
  const readiness = () => ({ ready: true });
  const page = await startInternalServer({ port, host, registry, readiness });
  io.stderr(`Metrics on port ${page.port}\n`);
  return page;
}

/** Until the time is up, or somebody has no more patience. */
async function linger(ms: number, stop: AbortSignal, io: CliIo): Promise<void> {
  try {
    await sleep(io.clock, ms, AbortSignal.any([stop, io.signal]));
  } catch {
    // The result is out: nothing is lost.
  }
}

function progressLine({ tally }: LoadTest, { name }: Scenario): string {
  const { begun, completed, refused, failed, skipped } = tally.counts;
  return (
    `${name}: ${tally.active} active, ${begun} begun, ${completed} completed, ` +
    `${refused} refused, ${failed} failed, ${skipped} skipped`
  );
}
