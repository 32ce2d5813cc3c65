import { once } from 'node:events';
import { connect } from 'node:net';
import { setTimeout as delay } from 'node:timers/promises';

export const ANY_FREE = '0';
const POLL_MS = 50;

/** Settles when something listens on the loopback port. Never gives up: the caller does. */
export async function untilAccepting(port: number): Promise<void> {
  await untilTrue(async () => {
    const socket = connect(port, '127.0.0.1');
    try {
      await once(socket, 'connect');
      return true;
    } finally {
      socket.destroy();
    }
  });
}

/** Settles when the URL answers 200. Never gives up: the caller does. */
export async function untilOk(url: string): Promise<void> {
  await untilTrue(async () => (await fetch(url, { signal: AbortSignal.timeout(2_000) })).ok);
}

async function untilTrue(probe: () => Promise<boolean>): Promise<void> {
  while (!(await probe().catch(() => false))) await delay(POLL_MS);
}
