import { type DestinationStream, type Level, type Logger, pino } from 'pino';

export type { Logger } from 'pino';

/** Passwords that messages and stacks quote: in a Redis address, and in Redis's answer to an AUTH it does not know. */
const IN_ADDRESS = /(rediss?:\/\/)(?:[^\s"\\]|\\[^n])*@/g;
const IN_ANSWER = /(with args beginning with:)(?:[^"\\]|\\[^n])*/g;

/** Synchronous: what pino's usual output has not written by the exit it then tries for ever if its reader is gone. */
function standardOutput(): DestinationStream {
  const output = pino.destination({ dest: 1, sync: true });
  // A log that nobody reads is no reason to end sessions.
  output.on('error', () => {});
  return output;
}

/** Names the only fields of an error that are logged: an error of ioredis also carries its command, AUTH with its password. */
function errorFields(thrown: unknown): object {
  if (!isErrorLike(thrown)) return { message: String(thrown) };
  const { name, message, stack, code, cause } = thrown;
  return {
    type: name,
    message,
    stack,
    code,
    cause: isErrorLike(cause) ? cause.message : undefined,
  };
}

function isErrorLike(value: unknown): value is Error & { code?: unknown } {
  return typeof value === 'object' && value !== null && 'message' in value;
}

/**
 * One JSON object a line: `ts` (ISO 8601), `level`, `service`, `event`, and `sid` where a session is meant.
 * Keys and speech have no field here: callers log names and numbers only.
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
      streamWrite: (line: string) =>
        line.replace(IN_ADDRESS, '$1[redacted]@').replace(IN_ANSWER, '$1 [redacted]'),
    },
    redact: {
      paths: ['apiKey', 'authorization', 'url', '*.apiKey', '*.authorization'],
      censor: '[redacted]',
    },
  };
  return pino(options, destination ?? standardOutput());
}
