import { startGateway } from '@voice-fleet/gateway/gateway';
import { leanConfig } from '@voice-fleet/gateway/lean/lean-config';
import { createLogger } from '@voice-fleet/telemetry/logger';
import type { Fleet } from './fleet.ts';
import { LeanSocket } from './lean-socket.ts';
import { until } from './until.ts';

/** A lean gateway beside those of a fleet; it ends with the fleet. Returns its place among the gateways. */
export async function addLean(fleet: Fleet, env: Record<string, string> = {}): Promise<number> {
  const { gateway, lean } = leanConfig({
    REDIS_URL: fleet.redis.url,
    SERVER_BIND_HOST: '127.0.0.1',
    INTERNAL_BIND_HOST: '127.0.0.1',
    PORT: '0',
    INTERNAL_PORT: '0',
    ADMISSION_HOLD_S: '0',
    LEAN_OPEN: '1',
    ...env,
  });
  const log = createLogger('lean', 'error', { write: () => undefined });
  const added = await startGateway(gateway, log, [], lean);
  fleet.gateways.push(added);
  const ready = async (): Promise<boolean> =>
    (await fetch(`http://127.0.0.1:${added.internalPort}/readyz`)).ok;
  if (fleet.workers.length > 0) await until(ready, 'the lean gateway is ready');
  return fleet.gateways.length - 1;
}

/** A client of the lean gateway that was added last. */
export function dialLean(fleet: Fleet, query = ''): LeanSocket {
  const socket = new LeanSocket(`ws://127.0.0.1:${fleet.gateways.at(-1)?.port}/ws${query}`);
  fleet.sockets.push(socket);
  return socket;
}

/** One that has said that it starts. */
export async function startLean(fleet: Fleet): Promise<LeanSocket> {
  const socket = dialLean(fleet);
  await socket.send({ type: 'start', sample_rate: 16_000 });
  await socket.next('info', 1);
  return socket;
}
