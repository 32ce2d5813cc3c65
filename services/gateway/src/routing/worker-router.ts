import { type Lease, newLeaseToken } from '@voice-fleet/fleet/lease';
import type { LeaseKeeper } from '@voice-fleet/fleet/lease-keeper';
import type { LeaseStore } from '@voice-fleet/fleet/lease-store';
import { RedisUnavailable } from '@voice-fleet/fleet/redis';
import { VoiceError } from '@voice-fleet/protocol/errors';
import type { Clock } from '@voice-fleet/runtime/clock';
import type { Logger } from '@voice-fleet/telemetry/logger';
import type { GatewayMetrics } from '../metrics.ts';
import type { Link, LinkRequest } from '../session/link.ts';
import {
  dialWorker,
  LinkRefused,
  type LinkSettings,
  type LinkTarget,
  type WorkerLink,
} from './worker-link.ts';

/** Workers tried for one session before it is refused. */
const MAX_ATTEMPTS = 4;

export interface WorkerRouterDeps {
  readonly store: LeaseStore;
  readonly keeper: LeaseKeeper;
  readonly clock: Clock;
  readonly link: LinkSettings;
  readonly metrics: GatewayMetrics;
  readonly log: Logger;
}

/** Takes slots and opens links; a worker that does not answer is passed over. Holds no capacity of its own. */
export class WorkerRouter {
  readonly #deps: WorkerRouterDeps;

  constructor(deps: WorkerRouterDeps) {
    this.#deps = deps;
  }

  async connect({ sessionId, listener, signal, avoid }: LinkRequest): Promise<Link> {
    const { keeper, clock, metrics, log, link: settings } = this.#deps;
    const exclude = avoid === undefined ? [] : [avoid];
    let minEpoch = 0;
    for (let attempt = 0; attempt < MAX_ATTEMPTS; attempt += 1) {
      signal.throwIfAborted();
      const lease = await this.#acquire(sessionId, minEpoch, exclude);
      const release: LinkTarget['release'] = (end) => {
        if (end === 'lost') metrics.workersLost.inc();
        return keeper.release(lease);
      };
      let link: WorkerLink | undefined;
      let lost = false;
      keeper.hold(lease, () => {
        lost = true;
        metrics.leaseOperations.labels('renew', 'lost').inc();
        link?.lose('lease lost');
      });
      try {
        const { token, epoch, address, workerId } = lease;
        link = await dialWorker(
          { workerId, address, token, epoch, sessionId, release },
          listener,
          settings,
          clock,
          signal,
        );
        if (!lost) return link;
        await link.close();
      } catch (error) {
        await keeper.release(lease);
        if (!(error instanceof LinkRefused)) throw error;
        metrics.linkRefusals.labels(error.reason).inc();
        const { workerId: worker } = lease;
        log.warn({
          event: 'link_refused',
          sid: sessionId,
          worker,
          address: lease.address,
          reason: error.reason,
        });
      }
      exclude.push(lease.workerId);
      minEpoch = lease.epoch;
    }
    throw new VoiceError('fleet_unavailable');
  }

  async #acquire(sessionId: string, minEpoch: number, exclude: readonly string[]): Promise<Lease> {
    const count = (outcome: string): void =>
      this.#deps.metrics.leaseOperations.labels('acquire', outcome).inc();
    try {
      const placement = await this.#deps.store.acquire({
        token: newLeaseToken(),
        sessionId,
        minEpoch,
        exclude,
      });
      if (placement.kind === 'granted') {
        count('granted');
        return placement.lease;
      }
      count(placement.reason);
      // Full for us because the rest did not answer is a fault of the fleet, not a lack of slots.
      const full = placement.reason !== 'no_workers' && exclude.length === 0;
      throw new VoiceError(full ? 'at_capacity' : 'fleet_unavailable');
    } catch (error) {
      if (!(error instanceof RedisUnavailable)) throw error;
      count('redis_unavailable');
      throw new VoiceError('fleet_unavailable', { cause: error });
    }
  }
}
