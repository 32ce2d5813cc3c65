import { printableUrl } from '../server-url.ts';
import { runSmoke, type SmokeCheck, type SmokeResult } from '../smoke.ts';
import {
  healthCheck,
  httpCheck,
  type SmokeTarget,
  streamCheck,
  voiceCheck,
} from '../smoke-checks.ts';
import { explain } from './explain.ts';
import {
  type CliIo,
  CONNECTION_HELP,
  type Command,
  connectOptions,
  loadShipped,
  parseFlags,
  positive,
} from './flags.ts';
import { EXIT, guarded } from './guard.ts';
import { printJson, s } from './report.ts';

const TRY_MS = 30_000;

export const smoke: Command = {
  summary: 'prove in bounded time that a fleet works: what helm test runs',
  help: `npm run client -- smoke [flags]

Speaks two seconds of real speech and expects words back. While the fleet still starts it tries
again, until the time is up. Exit code 0 when every check passed; also when all slots were taken
for ten seconds: the fleet said so, as it should, and prints REFUSED (--strict: that fails too).
Exit code 1 for all else: no words, a wrong key, nobody there.

  --timeout SECONDS    for all checks and tries together (default 60)
  --strict             a fleet without a free slot fails
  --health             first: /readyz must answer 200
  --http               also: the recording over POST /v1/audio/transcriptions
  --voice              also: a question to the voice pipeline, whose reply must be heard
  --file PATH          speech to send instead of the recording that is shipped

${CONNECTION_HELP}`,
  run: async (args, io) => {
    const flags = parseFlags(args, {
      file: { type: 'string' },
      timeout: { type: 'string', default: '60' },
      strict: { type: 'boolean', default: false },
      health: { type: 'boolean', default: false },
      http: { type: 'boolean', default: false },
      voice: { type: 'boolean', default: false },
    });
    const { url, apiKey, keyIn, waitS } = connectOptions(flags, io);
    const timeoutS = positive(flags.timeout, 'timeout');
    const server = printableUrl(url);
    return await guarded({ server, json: flags.json, debug: flags.debug }, io, async () => {
      const { pcm, path, reference } = await loadShipped(flags.file, io);
      io.stderr(`Speaking ${path} to ${server}\n`);
      const results = await runSmoke(
        checksOf(flags, { url, apiKey, keyIn, waitS, pcm, clock: io.clock }),
        {
          clock: io.clock,
          timeoutMs: timeoutS * 1000,
          tryMs: TRY_MS + waitS * 1000,
          signal: io.signal,
          onRetry: (check, error) => io.stderr(`${check}: ${explain(error, server)} Again.\n`),
        },
      );
      const outcome = outcomeOf(results);
      const ok = outcome === 'passed' || (outcome === 'refused' && !flags.strict);
      if (flags.json) printJson(io.stdout, json(results, { ok, outcome, server, reference }));
      else io.stdout(text(results, outcome));
      tellFaults(results, server, io);
      return ok ? EXIT.ok : EXIT.failed;
    });
  },
};

type Outcome = 'passed' | 'refused' | 'failed';

function checksOf(
  flags: { health: boolean; http: boolean; voice: boolean },
  target: SmokeTarget,
): SmokeCheck[] {
  return [
    ...(flags.health ? [healthCheck(target)] : []),
    streamCheck(target),
    ...(flags.http ? [httpCheck(target)] : []),
    ...(flags.voice ? [voiceCheck(target)] : []),
  ];
}

function outcomeOf(results: readonly SmokeResult[]): Outcome {
  if (results.some(({ outcome }) => outcome === 'failed')) return 'failed';
  return results.some(({ outcome }) => outcome === 'refused') ? 'refused' : 'passed';
}

function tellFaults(results: readonly SmokeResult[], server: string, io: CliIo): void {
  for (const { check, error } of results)
    if (error !== undefined) io.stderr(`${check}: ${explain(error, server)}\n`);
}

function text(results: readonly SmokeResult[], outcome: Outcome): string {
  const line = ([check = '', result = '', tries = '', time = '', seen = '']: string[]): string =>
    `${`${check.padEnd(10)}${result.padEnd(10)}${tries.padStart(5)}${time.padStart(10)}  ${seen}`.trimEnd()}\n`;
  const rows = results.map(({ check, outcome: result, tries, elapsedMs, detail }) =>
    line([check, result, String(tries), s(elapsedMs / 1000), detail]),
  );
  return `\n${line(['check', 'result', 'tries', 'time', 'seen'])}${rows.join('')}\n${outcome.toUpperCase()}\n`;
}

function json(
  results: readonly SmokeResult[],
  head: { ok: boolean; outcome: Outcome; server: string; reference: string | undefined },
): object {
  return {
    schema: 'voice-fleet/smoke/1',
    ...head,
    reference: head.reference ?? null,
    checks: results.map(({ error: _, ...result }) => result),
  };
}
