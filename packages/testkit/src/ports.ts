import { randomInt } from 'node:crypto';
import { once } from 'node:events';
import { createServer } from 'node:net';

/**
 * Below the ports that systems hand out by themselves (Linux: from 32768). A port from those may be
 * somebody's connection or server before the process it is meant for listens on it.
 */
const FIRST_PORT = 10_240;
const END_PORT = 32_768;
const TRIES = 100;

/** A loopback port nobody listens on now, for a process that is told its port. */
export async function freePort(): Promise<number> {
  for (let tries = 0; tries < TRIES; tries++) {
    const port = randomInt(FIRST_PORT, END_PORT);
    if (await isFree(port)) return port;
  }
  throw new Error(`of ${TRIES} ports from ${FIRST_PORT} to ${END_PORT - 1} none is free`);
}

async function isFree(port: number): Promise<boolean> {
  const probe = createServer();
  try {
    await once(probe.listen(port, '127.0.0.1'), 'listening');
  } catch {
    return false;
  }
  probe.close();
  await once(probe, 'close');
  return true;
}
