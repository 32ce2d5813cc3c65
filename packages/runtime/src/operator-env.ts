import type { z } from 'zod';
import { enumVar, integerVar, textVar } from './env.ts';
import { TRACE_ENV } from './trace-env.ts';

const LOG_LEVELS = ['trace', 'debug', 'info', 'warn', 'error'] as const;

/** Variables that every service reads for its operators. */
export function operatorEnv(internalPort: number): typeof TRACE_ENV & {
  INTERNAL_PORT: z.ZodType<number>;
  INTERNAL_BIND_HOST: z.ZodType<string>;
  LOG_LEVEL: z.ZodType<(typeof LOG_LEVELS)[number]>;
} {
  return {
    ...TRACE_ENV,
    INTERNAL_PORT: integerVar({
      default: internalPort,
      min: 0,
      max: 65_535,
      doc: 'Port of /metrics, /livez and /readyz for operators; 0 takes a free one.',
    }),
    INTERNAL_BIND_HOST: textVar({
      default: '0.0.0.0',
      doc: 'Address the internal port listens on.',
    }),
    LOG_LEVEL: enumVar(LOG_LEVELS, { default: 'info', doc: 'Least level that is logged.' }),
  };
}
