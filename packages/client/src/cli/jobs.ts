import { type ParseArgsConfig, parseArgs } from 'node:util';
import { JOB_IS_OVER, type JobView } from '@voice-fleet/protocol/jobs';
import { sleep } from '@voice-fleet/runtime/clock';
import { TRANSCRIPT_FORMATS } from '@voice-fleet/speech/transcript-formats';
import { JobRefused, JobsClient, JobsUnreachable } from '../jobs-client.ts';
import { parseServerUrl, printableUrl } from '../server-url.ts';
import { type CliIo, type Command, UsageError } from './flags.ts';
import { EXIT, guarded } from './guard.ts';
import { jobRows, jobTable, Progress } from './job-report.ts';
import { list, printJson } from './report.ts';

const HELP = `npm run client -- jobs ACTION … [flags]

Recordings that are transcribed when the fleet has time.

Actions:
  submit FILE|URL…     hands recordings over; prints their ids
  list                 your jobs, the newest first
  show ID              one job
  watch ID             follows a job until it has ended
  result ID            prints the transcript
  cancel ID            stops a job
  delete ID            stops a job and forgets its recording and transcript

Of submit:
  --wait               follows the jobs, then prints their transcripts; exit code 1 when
                       one came to nothing
  --language CODE      such as en
  --model NAME         as GET /v1/models lists them
  --priority CLASS     high, normal (default) or low
  --webhook URL        is told when the job has ended
  --meta NAME=VALUE    comes back with the job; may be given several times
  --idempotency-key K  the same request with the same key makes one job

Of list:
  --state STATE        queued, running, completed, failed, cancelled or quarantined
  --limit COUNT        1 to 100 (default 20)
  --cursor ID          goes on behind the page before, which ends with it

Of result and submit --wait:
  --format FORMAT      text (default), json, verbose_json, srt or vtt

Connection:
  --server ADDRESS     host:port or http(s)://… (default: $VOXTRAL_SERVER or localhost:8000)
  --secure             use https even when the address does not say so
  --voxtral-key KEY    API key with the scope jobs (default: $VOXTRAL_API_KEY)

Output:
  --json               one JSON object on stdout and nothing else there
  --debug              full error stacks, on stderr
  --help               this text`;

const OPTIONS = {
  server: { type: 'string' },
  secure: { type: 'boolean', default: false },
  'voxtral-key': { type: 'string' },
  json: { type: 'boolean', default: false },
  debug: { type: 'boolean', default: false },
  wait: { type: 'boolean', default: false },
  language: { type: 'string' },
  model: { type: 'string' },
  priority: { type: 'string' },
  webhook: { type: 'string' },
  meta: { type: 'string', multiple: true, default: [] },
  'idempotency-key': { type: 'string' },
  state: { type: 'string' },
  limit: { type: 'string', default: '20' },
  cursor: { type: 'string' },
  format: { type: 'string', default: 'text' },
} as const satisfies NonNullable<ParseArgsConfig['options']>;

type Flags = ReturnType<typeof parse>['values'];

interface Call {
  readonly jobs: JobsClient;
  readonly flags: Flags;
  /** What stands behind the action. */
  readonly names: readonly string[];
  readonly io: CliIo;
}

const FORMATS: readonly string[] = TRANSCRIPT_FORMATS;
const POLL_MS = 1_000;
/** Questions in a row that may go unanswered. */
const LOST_MAX = 60;

const ACTIONS: Readonly<Record<string, (call: Call) => Promise<number>>> = {
  submit,
  list: listJobs,
  show: (call) => one(call, (jobs, id) => jobs.get(id)),
  watch,
  result,
  cancel: (call) => one(call, (jobs, id) => jobs.cancel(id)),
  delete: remove,
};

export const jobs: Command = {
  summary: 'recordings that are transcribed when there is time',
  help: HELP,
  run: async (args, io) => {
    const { values: flags, positionals } = parse(args);
    const [action = '', ...names] = positionals;
    const act = Object.hasOwn(ACTIONS, action) ? ACTIONS[action] : undefined;
    if (!act) throw new UsageError(action === '' ? 'Which action?' : `There is no "${action}".`);
    if (!FORMATS.includes(flags.format))
      throw new UsageError(`--format takes ${FORMATS.join(', ')}, not "${flags.format}".`);
    const url = serverUrl(flags, io);
    const apiKey = flags['voxtral-key'] ?? io.env['VOXTRAL_API_KEY'];
    const client = new JobsClient({ url, apiKey, signal: io.signal });
    const server = printableUrl(url);
    return await guarded({ server, json: flags.json, debug: flags.debug }, io, () =>
      act({ jobs: client, flags, names, io }),
    );
  },
};

function parse(args: readonly string[]) {
  try {
    return parseArgs({ args: [...args], options: OPTIONS, strict: true, allowPositionals: true });
  } catch (error) {
    const [sentence = ''] = String(error instanceof Error ? error.message : error).split('\n');
    throw new UsageError(sentence);
  }
}

function serverUrl(flags: Flags, io: CliIo): URL {
  try {
    const server = flags.server ?? (io.env['VOXTRAL_SERVER'] || 'localhost:8000');
    const url = parseServerUrl(server, flags.secure, '/');
    url.protocol = url.protocol === 'wss:' ? 'https:' : 'http:';
    return url;
  } catch (error) {
    throw new UsageError(error instanceof Error ? error.message : String(error));
  }
}

async function submit({ jobs: client, flags, names, io }: Call): Promise<number> {
  if (names.length === 0) throw new UsageError('submit takes a file or a URL.');
  const idempotencyKey = flags['idempotency-key'];
  if (idempotencyKey !== undefined && names.length > 1)
    throw new UsageError('--idempotency-key names one recording.');
  const wishes = { ...pick(flags, ['language', 'model', 'priority']) };
  const fields = { ...wishes, ...(flags.webhook !== undefined && { webhook_url: flags.webhook }) };
  const metadata = Object.fromEntries(flags.meta.map(nameAndValue));
  const made: JobView[] = [];
  for (const recording of names) {
    const job = await client.submit({ recording, fields, metadata, idempotencyKey });
    made.push(job);
    // Also beside --json: where a later one is refused, nothing else names this one.
    io.stderr(`${recording}: ${job.id}\n`);
  }
  if (!flags.wait) {
    if (flags.json) printJson(io.stdout, { ok: true, jobs: made });
    else io.stdout(made.map(({ id }) => `${id}\n`).join(''));
    return EXIT.ok;
  }
  const ended: JobView[] = [];
  for (const { id } of made) ended.push(await follow(client, id, io));
  const results: (string | null)[] = [];
  for (const { id, state } of ended)
    results.push(
      state === 'completed' ? await patiently(io, () => client.result(id, flags.format)) : null,
    );
  if (flags.json) {
    const all = ended.map((job, at) => ({ ...job, result: results[at] }));
    printJson(io.stdout, { ok: ended.every(isGood), jobs: all });
  } else {
    for (const [at, job] of ended.entries()) {
      const text = results[at] ?? `${job.state}: ${job.error?.message ?? 'no transcript'}`;
      io.stdout(names.length > 1 ? `== ${names[at]}\n${line(text)}` : line(text));
    }
  }
  return ended.every(isGood) ? EXIT.ok : EXIT.failed;
}

async function listJobs({ jobs: client, flags, io }: Call): Promise<number> {
  const page = await client.list({ limit: flags.limit, ...pick(flags, ['state', 'cursor']) });
  if (flags.json) {
    printJson(io.stdout, { ok: true, jobs: page.data, nextCursor: page.next_cursor });
    return EXIT.ok;
  }
  if (page.data.length === 0) io.stdout('No jobs yet: npm run client -- jobs submit FILE\n');
  else io.stdout(jobTable(page.data));
  if (page.next_cursor !== null) io.stderr(`There are more: --cursor ${page.next_cursor}\n`);
  return EXIT.ok;
}

async function one(
  { jobs: client, flags, names, io }: Call,
  ask: (client: JobsClient, id: string) => Promise<JobView>,
): Promise<number> {
  const job = await ask(client, idOf(names));
  if (flags.json) printJson(io.stdout, { ok: true, job });
  else io.stdout(list(jobRows(job)));
  return EXIT.ok;
}

async function watch({ jobs: client, flags, names, io }: Call): Promise<number> {
  const job = await follow(client, idOf(names), io);
  if (flags.json) printJson(io.stdout, { ok: isGood(job), job });
  else io.stdout(list(jobRows(job)));
  return isGood(job) ? EXIT.ok : EXIT.failed;
}

async function result({ jobs: client, flags, names, io }: Call): Promise<number> {
  const text = await client.result(idOf(names), flags.format);
  if (flags.json) printJson(io.stdout, { ok: true, format: flags.format, result: text });
  else io.stdout(line(text));
  return EXIT.ok;
}

async function remove({ jobs: client, flags, names, io }: Call): Promise<number> {
  const id = idOf(names);
  await client.delete(id);
  if (flags.json) printJson(io.stdout, { ok: true, id });
  else io.stderr(`${id} is gone.\n`);
  return EXIT.ok;
}

/** Tells how far it is until it has ended. */
async function follow(client: JobsClient, id: string, io: CliIo): Promise<JobView> {
  const progress = new Progress(io);
  try {
    for (;;) {
      const job = await patiently(io, () => client.get(id));
      progress.show(job);
      if (JOB_IS_OVER[job.state]) return job;
      await sleep(io.clock, POLL_MS, io.signal);
    }
  } finally {
    progress.end();
  }
}

/** Gateways are replaced now and then; jobs go on meanwhile. */
async function patiently<T>(io: CliIo, ask: () => Promise<T>): Promise<T> {
  for (let lost = 1; ; lost += 1) {
    try {
      return await ask();
    } catch (error) {
      if (!isPassing(error) || lost > LOST_MAX) throw error;
      await sleep(io.clock, POLL_MS, io.signal);
    }
  }
}

function isPassing(error: unknown): boolean {
  return error instanceof JobsUnreachable || (error instanceof JobRefused && error.status === 503);
}

function isGood({ state }: JobView): boolean {
  return state === 'completed';
}

function idOf(names: readonly string[]): string {
  const [id, ...more] = names;
  if (id === undefined || more.length > 0) throw new UsageError('Name one job by its id.');
  return id;
}

function nameAndValue(text: string): [string, string] {
  const at = text.indexOf('=');
  if (at < 1) throw new UsageError(`--meta takes NAME=VALUE, not "${text}".`);
  return [text.slice(0, at), text.slice(at + 1)];
}

function pick(
  flags: Flags,
  names: readonly ('language' | 'model' | 'priority' | 'state' | 'cursor')[],
) {
  return Object.fromEntries(
    names.flatMap((name): [string, string][] => {
      const value = flags[name];
      return value === undefined ? [] : [[name, value]];
    }),
  );
}

function line(text: string): string {
  return text.endsWith('\n') ? text : `${text}\n`;
}
