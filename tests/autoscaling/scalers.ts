import { ANY_MODEL, FleetDemand, type FleetLoad } from '@voice-fleet/gateway/demand/fleet-demand';
import type { Fleet, Pod } from './fleet.ts';
import { type PodCpu, replicasForCpu, replicasForExternal } from './hpa.ts';

/** What an autoscaler reads of the fleet, with the delays of whatever lies between. */
export interface Signal {
  /** Called each second. */
  observe(nowS: number, fleet: Fleet): void;
  /** Replicas that the metric asks for, at a sync; undefined: there is no metric. */
  desired(nowS: number, fleet: Fleet): number | undefined;
}

/** Period of our gateways' look at Redis, of Prometheus and of KEDA; each has a phase of its own. */
const POLL_S = 5;
const SCRAPE_S = 15;
const KEDA_S = 15;

export interface DemandSettings {
  readonly targetUtilization: number;
  /** FLEET_WARMUP_S; 0: no forecast, only who runs and waits. */
  readonly warmupS: number;
}

/** The gauge of our gateways, through Prometheus and KEDA. */
export class DemandSignal implements Signal {
  readonly #settings: DemandSettings;
  readonly #demand: FleetDemand;
  #came = 0;
  #gauge: number | undefined;
  #scraped: number | undefined;
  #read: number | undefined;

  constructor(settings: DemandSettings) {
    this.#settings = settings;
    this.#demand = new FleetDemand({
      pools: ['gpu'],
      weights: new Map(),
      warmupMs: () => settings.warmupS * 1000,
    });
  }

  observe(nowS: number, fleet: Fleet): void {
    if (nowS % KEDA_S === 11) this.#read = this.#scraped;
    if (nowS % SCRAPE_S === 7) this.#scraped = this.#gauge;
    if (nowS % POLL_S !== 3) return;
    const load = loadOf(fleet, nowS, fleet.came - this.#came);
    this.#came = fleet.came;
    this.#gauge = this.#demand.update(load, nowS * 1000).get('gpu')?.demand;
  }

  desired(_nowS: number, fleet: Fleet): number | undefined {
    if (this.#read === undefined) return undefined;
    const { targetUtilization } = this.#settings;
    return replicasForExternal(fleet.pods.length, this.#read, fleet.slots * targetUtilization);
  }
}

function loadOf(fleet: Fleet, nowS: number, came: number): FleetLoad {
  const ready = fleet.ready(nowS);
  const sum = (counts: number[]): number => counts.reduce((all, one) => all + one, 0);
  const leaving = sum(
    fleet.pods.map((pod) => (pod.drainingS === undefined ? 0 : pod.sessions.length)),
  );
  return {
    pools: new Map([
      [
        'gpu',
        {
          models: ['m'],
          slots: ready.length * fleet.slots,
          leased: sum(fleet.pods.map((pod) => pod.sessions.length)),
          leaving,
        },
      ],
    ]),
    waiting: new Map([[ANY_MODEL, fleet.line.length + leaving]]),
    moving: leaving,
    refused: new Map([[ANY_MODEL, fleet.refusals.length]]),
    came: new Map([[ANY_MODEL, came]]),
    jobs: 0,
  };
}

export interface CpuSettings {
  /** Of what a worker requests, with all slots taken. */
  readonly full: number;
  /** The same with none taken. */
  readonly idle: number;
  readonly target: number;
}

/** `--horizontal-pod-autoscaler-cpu-initialization-period`: for so long samples from before a pod was ready do not count. */
const CPU_INITIALIZATION_S = 300;
/** Of metrics-server. */
const RESOLUTION_S = 15;

interface CpuSample {
  readonly atS: number;
  readonly utilization: number;
}

/** CPU of the workers, through metrics-server: the mean of its last window, of pods that were there for all of it. */
export class CpuSignal implements Signal {
  readonly #settings: CpuSettings;
  readonly #spent = new Map<Pod, number>();
  readonly #samples = new Map<Pod, CpuSample>();

  constructor(settings: CpuSettings) {
    this.#settings = settings;
  }

  observe(nowS: number, fleet: Fleet): void {
    const { idle, full } = this.#settings;
    if (nowS % RESOLUTION_S === 0) {
      this.#samples.clear();
      for (const [pod, spent] of this.#spent)
        if (nowS - pod.createdS >= RESOLUTION_S)
          this.#samples.set(pod, { atS: nowS, utilization: spent / RESOLUTION_S });
      this.#spent.clear();
    }
    for (const pod of fleet.pods) {
      const now = idle + ((full - idle) * pod.sessions.length) / fleet.slots;
      this.#spent.set(pod, (this.#spent.get(pod) ?? 0) + now);
    }
  }

  desired(nowS: number, fleet: Fleet): number | undefined {
    // Pods that are being deleted are not looked at.
    const pods = fleet.pods.filter(({ drainingS }) => drainingS === undefined);
    return replicasForCpu(
      fleet.replicas,
      pods.map((pod) => this.#seen(pod, nowS)),
      this.#settings.target,
    );
  }

  #seen(pod: Pod, nowS: number): PodCpu {
    const sample = this.#samples.get(pod);
    const early = sample !== undefined && sample.atS < pod.readyS + RESOLUTION_S;
    const young = nowS < pod.createdS + CPU_INITIALIZATION_S;
    const unready = sample !== undefined && (pod.readyS > nowS || (young && early));
    return { utilization: sample?.utilization, unready };
  }
}
