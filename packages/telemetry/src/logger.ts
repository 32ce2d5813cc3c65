import { type DestinationStream, type Level, type Logger, pino } from 'pino';

export type { Logger } from 'pino';

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
    redact: {
      paths: ['apiKey', 'authorization', 'url', '*.apiKey', '*.authorization'],
      censor: '[redacted]',
    },
  };
  return destination ? pino(options, destination) : pino(options);
}
