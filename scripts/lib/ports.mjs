import { randomInt } from 'node:crypto';
import { once } from 'node:events';
import { connect, createServer } from 'node:net';
import { setTimeout as delay } from 'node:timers/promises';

/**
 * Below the ports that systems hand out by themselves (Linux: from 32768). A port from those may be
 * somebody's connection or server before the child it is meant for listens on it.
 */
const FIRST_PORT = 10_240;
const END_PORT = 32_768;

/** A loopback port nobody listens on now, for a child that is told its port. */
export async function freePort() {
  for (let tries = 0; tries < 100; tries += 1) {
    const port = randomInt(FIRST_PORT, END_PORT);
    if (await isFree(port, '127.0.0.1')) return port;
  }
  throw new Error(`No port from ${FIRST_PORT} to ${END_PORT - 1} on 127.0.0.1 seems free.`);
}

/** Whether this machine lets us listen there; asking to listen is the one reliable answer. */
export async function isFree(port, host) {
  const server = createServer();
  try {
    server.listen(port, host);
    await once(server, 'listening');
    server.close();
    await once(server, 'close');
    return true;
  } catch {
    return false;
  }
}

/** Resolves when `probe` answers true, with the time it took; false after `timeoutMs`. */
export async function poll(probe, { timeoutMs, everyMs = 100, onWait }) {
  const started = performance.now();
  for (let rounds = 1; ; rounds += 1) {
    if (await probe().catch(() => false)) return performance.now() - started;
    const waited = performance.now() - started;
    if (waited > timeoutMs) return false;
    if (rounds % Math.ceil(5_000 / everyMs) === 0) onWait?.(Math.round(waited / 1_000));
    await delay(everyMs);
  }
}

/** Whether a Redis answers on this loopback port. */
export async function redisAnswers(port) {
  const socket = connect(port, '127.0.0.1');
  try {
    await once(socket, 'connect');
    socket.write('PING\r\n');
    const [reply] = await once(socket, 'data');
    return reply.toString().startsWith('+PONG');
  } finally {
    socket.destroy();
  }
}

export async function answersOk(url) {
  const response = await fetch(url, { signal: AbortSignal.timeout(2_000) });
  await response.arrayBuffer();
  return response.status === 200;
}
