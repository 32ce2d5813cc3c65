import { type ParseArgsConfig, parseArgs } from 'node:util';
import { YAP_PATH } from '@voice-fleet/protocol/yap';
import type { Clock } from '@voice-fleet/runtime/clock';
import { loadPcm } from '../audio-source.ts';
import { findSamples, type Sample, shippedSample } from '../samples.ts';
import { parseServerUrl, printableUrl } from '../server-url.ts';
import type { OpenOptions } from '../transcribe.ts';
import type { YapConnectOptions } from '../yap-client.ts';
import type { YapNotice } from '../yap-utterance.ts';

/** What a command needs from the process around it. */
export interface CliIo {
  readonly stdout: (text: string) => void;
  readonly stderr: (text: string) => void;
  /** stderr is a terminal: progress may overwrite its line. */
  readonly isTty: boolean;
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly clock: Clock;
  /** Aborted by Ctrl+C, and by SIGTERM for commands that do not stop by themselves. */
  readonly signal: AbortSignal;
  /** Aborted by SIGTERM: time is left to come to an end. */
  readonly stop?: AbortSignal;
  readonly connectTimeoutMs?: number;
  readonly sessionTimeoutMs?: number;
}

export interface Command {
  readonly summary: string;
  readonly help: string;
  /** It heeds `stop`: SIGTERM does not abort its signal. */
  readonly stopsItself?: boolean;
  readonly run: (args: readonly string[], io: CliIo) => Promise<number>;
}

/** Wrong flags or values: exit code 2. */
export class UsageError extends Error {
  override readonly name = 'UsageError';
}

type Options = NonNullable<ParseArgsConfig['options']>;

const CONNECTION = {
  server: { type: 'string' },
  secure: { type: 'boolean', default: false },
  'voxtral-key': { type: 'string' },
  'key-in': { type: 'string', default: 'header' },
  wait: { type: 'string', default: '0' },
  json: { type: 'boolean', default: false },
  debug: { type: 'boolean', default: false },
} as const satisfies Options;

/** Of the commands that speak. */
export const SURVIVAL = {
  resumable: { type: 'boolean', default: false },
} as const satisfies Options;

export const AUDIO = {
  file: { type: 'string' },
  speed: { type: 'string', default: '1' },
  'full-text': { type: 'boolean', default: false },
} as const satisfies Options;

const WAIT_HELP = `
  --wait SECONDS       wait so long in line when all slots are taken (default 0)`;

export const CONNECTION_HELP = connectionHelp(YAP_PATH);

/** Sessions of the voice pipeline cannot ask to wait in line. */
export function connectionHelp(path: string): string {
  return `Connection:
  --server ADDRESS     host:port, ws(s)://… or http(s)://…; a missing path becomes
                       ${path} (default: $VOXTRAL_SERVER or localhost:8000)
  --secure             use wss even when the address does not say so
  --voxtral-key KEY    API key (default: $VOXTRAL_API_KEY)
  --key-in PLACE       header (default) or query${path === YAP_PATH ? WAIT_HELP : ''}

Output:
  --json               one JSON object on stdout and nothing else there
  --debug              every frame received and full error stacks, on stderr
  --help               this text`;
}

export const SURVIVAL_HELP = `Survival:
  --resumable          the session outlives its connection: it is taken up again elsewhere
                       and nothing said is lost; --server then takes several addresses,
                       separated by commas, which are dialled in turn`;

export const AUDIO_HELP = `Audio:
  --file PATH          recording to send; 16 kHz mono WAV needs no ffmpeg
                       (default: a LibriVox sample of pocketsphinx-testdata)
  --speed FACTOR       1 is real time (default), 2 twice as fast
  --full-text          print whole transcripts instead of 80 characters`;

type Flags<T extends Options> = ReturnType<
  typeof parseArgs<{ options: typeof CONNECTION & T; strict: true }>
>['values'];

export function parseFlags<const T extends Options>(args: readonly string[], own: T): Flags<T> {
  const options = { ...CONNECTION, ...own };
  try {
    return parseArgs({ args: [...args], options, strict: true }).values;
  } catch (error) {
    const [sentence = ''] = String(error instanceof Error ? error.message : error).split('\n');
    throw new UsageError(sentence);
  }
}

export interface ConnectionFlags {
  readonly server?: string | undefined;
  readonly secure: boolean;
  readonly 'voxtral-key'?: string | undefined;
  readonly 'key-in': string;
  readonly wait: string;
  readonly resumable?: boolean;
  readonly debug: boolean;
}

/** `secureByDefault`: an address that names no scheme is dialled with wss. `path`: of an address without one. */
export function connectOptions(
  flags: ConnectionFlags,
  io: CliIo,
  { secureByDefault = false, path }: { secureByDefault?: boolean; path?: string } = {},
) {
  const keyIn = flags['key-in'];
  if (keyIn !== 'header' && keyIn !== 'query') {
    throw new UsageError(`--key-in takes "header" or "query", not "${keyIn}".`);
  }
  const urls = serverUrls(flags, io, secureByDefault, path);
  if (urls.length > 1 && !flags.resumable) {
    throw new UsageError('--server takes several addresses only together with --resumable.');
  }
  const waitS = seconds(flags.wait, 'wait');
  if (waitS > 0 && path !== undefined) throw new UsageError(`--wait does not work on ${path}.`);
  return {
    url: urls[0],
    urls,
    resumable: flags.resumable,
    waitS,
    apiKey: flags['voxtral-key'] ?? io.env['VOXTRAL_API_KEY'],
    keyIn,
    clock: io.clock,
    signal: io.signal,
    connectTimeoutMs: io.connectTimeoutMs,
    onStatus: (notice: YapNotice) => io.stderr(`${noticeText(notice)}\n`),
    ...(flags.debug
      ? { onFrame: (frame: unknown) => io.stderr(`< ${JSON.stringify(frame)}\n`) }
      : {}),
  } satisfies YapConnectOptions & OpenOptions;
}

/** The addresses as they may be printed. */
export function printableUrls(urls: readonly URL[]): string {
  return urls.map(printableUrl).join(', ');
}

export function positive(text: string, flag: string): number {
  const value = Number(text);
  if (text.trim() === '' || !Number.isFinite(value) || value <= 0) {
    throw new UsageError(`--${flag} takes a number above 0, not "${text}".`);
  }
  return value;
}

export function positiveInteger(text: string, flag: string): number {
  const value = positive(text, flag);
  if (!Number.isSafeInteger(value)) {
    throw new UsageError(`--${flag} takes a whole number, not "${text}".`);
  }
  return value;
}

/** Zero allowed: a pause or a grace may be nothing. */
export function seconds(text: string, flag: string): number {
  return text.trim() !== '' && Number(text) === 0 ? 0 : positive(text, flag);
}

export interface Recording {
  readonly path: string;
  readonly pcm: Buffer;
  /** What is said in it, where that is known. */
  readonly reference: string | undefined;
}

/** The named file, or the sample at `sampleIndex` (counted round). */
export async function loadRecording(
  path: string | undefined,
  io: CliIo,
  sampleIndex = 0,
): Promise<Recording> {
  if (path !== undefined) {
    return { path, pcm: await loadPcm(path, { signal: io.signal }), reference: undefined };
  }
  const samples = await findSamples();
  return await recordingOf(samples[sampleIndex % samples.length] ?? samples[0], io);
}

/** The named file, or the two seconds that are the same wherever the client runs. */
export async function loadShipped(path: string | undefined, io: CliIo): Promise<Recording> {
  return path === undefined
    ? await recordingOf(await shippedSample(), io)
    : await loadRecording(path, io);
}

async function recordingOf({ path, transcript }: Sample, io: CliIo): Promise<Recording> {
  const pcm = await loadPcm(path, { signal: io.signal });
  return { path, pcm, reference: transcript || undefined };
}

function serverUrls(
  flags: ConnectionFlags,
  io: CliIo,
  secureByDefault: boolean,
  path: string | undefined,
): [URL, ...URL[]] {
  const servers = flags.server ?? (io.env['VOXTRAL_SERVER'] || 'localhost:8000');
  const parse = (server: string): URL => {
    const plain = /^\s*(ws|http):\/\//i.test(server);
    return parseServerUrl(server, flags.secure || (secureByDefault && !plain), path);
  };
  try {
    const [first = '', ...others] = servers.split(',');
    return [parse(first), ...others.map(parse)];
  } catch (error) {
    throw new UsageError(error instanceof Error ? error.message : String(error));
  }
}

function noticeText(notice: YapNotice): string {
  switch (notice.kind) {
    case 'queued': {
      const { position, estimate_s: estimateS } = notice;
      const estimate = estimateS === undefined ? '' : `, about ${Math.ceil(estimateS)} s`;
      return `Waiting in line: place ${position}${estimate}.`;
    }
    case 'limit_warning':
      return `${notice.used} of ${notice.max} used of the limit ${notice.limit}.`;
    case 'shutdown':
      return `The server goes away within ${notice.grace_s} s.`;
  }
}
