import { backoffMs } from '@voice-fleet/runtime/backoff';
import { Redis } from 'ioredis';

/** Redis did not answer, or not in time. The command may still have run: only repeat what is idempotent. */
export class RedisUnavailable extends Error {
  override readonly name = 'RedisUnavailable';

  constructor(cause: unknown) {
    super(`redis unavailable: ${cause instanceof Error ? cause.message : String(cause)}`, {
      cause,
    });
  }
}

export interface RedisOptions {
  /** Called once when the connection fails, not for each attempt to get it back. */
  readonly onError: (error: Error) => void;
  /** Called when the connection is usable again after `onError`. */
  readonly onRecovered?: () => void;
  readonly commandTimeoutMs?: number;
}

/** Ten times a second would not help a Redis that loads its data; a second is well within a worker's beat TTL of three. */
const RECONNECT_BASE_MS = 50;
const RECONNECT_CAP_MS = 1_000;

/**
 * A client for the request path: a command fails at once while there is no connection, in about a second when Redis hangs,
 * and the client reconnects for ever. The caller ends it with `quit()` or `disconnect()`.
 */
export function connectRedis(url: string, options: RedisOptions): Redis {
  const commandTimeoutMs = options.commandTimeoutMs ?? 1_000;
  const redis = new Redis(url, {
    enableOfflineQueue: false,
    maxRetriesPerRequest: 0,
    autoResendUnfulfilledCommands: false,
    // Whoever subscribes does so at each `ready`: what ioredis tries by itself rejects where nobody hears it when the connection goes again.
    autoResubscribe: false,
    commandTimeout: commandTimeoutMs,
    connectTimeout: 2 * commandTimeoutMs,
    // A peer that vanished without FIN would otherwise keep a dead socket "ready" until the kernel gives up.
    socketTimeout: 3 * commandTimeoutMs,
    // A master that has become a replica: the address may lead to its successor now.
    reconnectOnError: (error) => error.message.includes('READONLY'),
    retryStrategy: (attempt) => backoffMs(attempt - 1, RECONNECT_BASE_MS, RECONNECT_CAP_MS),
  });
  let failing = false;
  const onFailure = (error: Error): void => {
    if (failing) return;
    failing = true;
    options.onError(error);
  };
  redis.on('error', onFailure);
  // A server that ends the connection causes no 'error'; our own `disconnect()` causes neither.
  redis.on('reconnecting', () => onFailure(new Error('connection lost')));
  redis.on('ready', () => {
    if (!failing) return;
    failing = false;
    options.onRecovered?.();
  });
  return redis;
}

/** Settles when commands can be sent; rejects with the signal's reason, or when the client was ended. */
export function untilReady(redis: Redis, signal: AbortSignal): Promise<void> {
  return new Promise((resolve, reject) => {
    if (redis.status === 'ready') return resolve();
    if (signal.aborted) return reject(signal.reason as Error);
    const settle = (act: () => void) => (): void => {
      redis.off('ready', onReady).off('end', onEnd);
      signal.removeEventListener('abort', onAbort);
      act();
    };
    const onReady = settle(resolve);
    const onEnd = settle(() => reject(new RedisUnavailable(new Error('client was ended'))));
    const onAbort = settle(() => reject(signal.reason as Error));
    redis.on('ready', onReady).on('end', onEnd);
    signal.addEventListener('abort', onAbort);
  });
}

/** Replies that say "not now": the server is up but cannot serve. Any other error reply is a fault of ours. */
const NOT_NOW =
  /^(LOADING|READONLY|MASTERDOWN|CLUSTERDOWN|TRYAGAIN|BUSY|MISCONF|OOM|NOREPLICAS|NOAUTH|WRONGPASS|NOPERM)\b/;

/** What a failed command should throw: `RedisUnavailable`, unless Redis understood the command and refused it. */
export function redisFault(error: unknown): unknown {
  const isReply = error instanceof Error && error.name === 'ReplyError';
  return isReply && !NOT_NOW.test(error.message) ? error : new RedisUnavailable(error);
}
