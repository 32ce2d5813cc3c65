import { createRequire } from 'node:module';
import { type DestinationStream, type Level, type Logger, pino } from 'pino';
import type PinoPretty from 'pino-pretty';

export type { Logger } from 'pino';

const UNREADABLE = 'it is not JSON';
/** Of a line. */
const END = /\}(?=\s*$)/;

/** Passwords that messages and stacks quote: in a Redis address, and in Redis's answer to an AUTH it does not know. */
const IN_ADDRESS = /(rediss?:\/\/)(?:[^\s"\\]|\\[^n])*@/g;
const IN_ANSWER = /(with args beginning with:)(?:[^"\\]|\\[^n])*/g;

/** Keys of a query string, whose values may be keys of another kind, tokens, or text. */
const IN_QUERY = /\?(?=[^\s"\\?]*=)[^\s"\\]*/g;
const IN_HEADER = /\b(Bearer|Authorization:? ?\w*) +[^\s"\\]+/gi;
/** JSON.parse quotes what it could not read, which may be anybody's words. pino copies it to the message of a line. */
const IN_JSON_FAULT = /Unexpected (?:[^"\\]|\\[^n])*? is not valid JSON/g;
/** Fields that hold what somebody said, or is to say, or a key: nobody has to log them, and who does is not read. */
const SECRET = [
  ...[
    'apiKey',
    'api_key',
    'authorization',
    'password',
    'secret',
    'token',
    'cookie',
    'url',
    'query',
  ],
  ...['text', 'transcript', 'words', 'tail', 'prompt', 'instructions', 'reply', 'history'],
  ...['messages', 'content', 'pcm', 'audio', 'body', 'headers'],
];

/** Synchronous: what pino's usual output has not written by the exit it then tries for ever if its reader is gone. */
function standardOutput(): DestinationStream {
  if (process.argv.includes('--pretty')) return prettyOutput();
  const output = pino.destination({ dest: 1, sync: true });
  // A log that nobody reads is no reason to end sessions.
  output.on('error', () => {});
  return output;
}

/** For people. Services are run without, so it is loaded only here. */
function prettyOutput(): DestinationStream {
  const pretty = createRequire(import.meta.url)('pino-pretty') as typeof PinoPretty;
  return pretty.build({
    sync: true,
    colorize: process.stdout.isTTY === true,
    timestampKey: 'ts',
    messageKey: 'message',
    messageFormat: '{service} {event} {message}',
    ignore: 'service,event,message',
  });
}

/** Names the only fields of an error that are logged: an error of ioredis also carries its command, AUTH with its password. */
function errorFields(thrown: unknown): object {
  if (!isErrorLike(thrown)) return { message: String(thrown) };
  const { name, message, stack, code, cause } = thrown;
  const quotes = name === 'SyntaxError';
  return {
    type: name,
    message: quotes ? UNREADABLE : message,
    stack: quotes ? stack?.replace(message, UNREADABLE) : stack,
    code,
    cause: isErrorLike(cause) ? messageOf(cause) : undefined,
  };
}

function messageOf({ name, message }: Error): string {
  return name === 'SyntaxError' ? UNREADABLE : message;
}

/** Every line has them all: of no session `sid` is null, and what was logged as a mere message is the event `message`. */
function withAllFields(line: string): string {
  const sid = line.includes('"sid":') ? '' : ',"sid":null';
  const event = line.includes('"event":') ? '' : ',"event":"message"';
  return sid + event === '' ? line : line.replace(END, `${sid}${event}}`);
}

/** A line of JSON without passwords, keys and words that messages in it quote. */
export function redactedLine(line: string): string {
  return line
    .replace(IN_ADDRESS, '$1[redacted]@')
    .replace(IN_ANSWER, '$1 [redacted]')
    .replace(IN_JSON_FAULT, UNREADABLE)
    .replace(IN_QUERY, '?[redacted]')
    .replace(IN_HEADER, '$1 [redacted]');
}

function isErrorLike(value: unknown): value is Error & { code?: unknown } {
  return typeof value === 'object' && value !== null && 'message' in value;
}

/**
 * One JSON object a line: `ts` (ISO 8601), `level`, `service`, `event`, and `sid`, which is null where no session is meant. Keys
 * and speech have no field here: callers log names and numbers only. With `--pretty` among the arguments lines are for people.
 */
export function createLogger(
  service: string,
  level: Level,
  destination?: DestinationStream,
): Logger {
  const options = {
    level,
    base: { service },
    messageKey: 'message',
    timestamp: () => `,"ts":"${new Date().toISOString()}"`,
    formatters: { level: (label: string) => ({ level: label }) },
    serializers: { err: errorFields },
    hooks: {
      streamWrite: (line: string) => redactedLine(withAllFields(line)),
    },
    redact: {
      paths: SECRET.flatMap((field) => [field, `*.${field}`]),
      censor: '[redacted]',
    },
  };
  return pino(options, destination ?? standardOutput());
}
