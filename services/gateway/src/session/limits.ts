import type { FailoverLimits } from './failover.ts';

/** Limits of one session. Times in milliseconds; `undefined` means no limit. */
export interface SessionLimits {
  readonly idleTimeoutMs: number | undefined;
  readonly maxDurationMs: number | undefined;
  /** Idle time and duration are looked at this often. */
  readonly watchdogTickMs: number;
  /** Messages allowed in `messageWindowMs`; 0 allows any number. */
  readonly messagesPerWindow: number;
  readonly messageWindowMs: number;
  readonly cancelsPerWindow: number;
  readonly cancelWindowMs: number;
  /** Frames that may wait at the worker. */
  readonly inboundQueueMax: number;
  readonly failover: FailoverLimits;
}
