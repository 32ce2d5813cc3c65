import type { CapacityMonitor } from '../capacity/capacity-monitor.ts';
import type { DegradeLevel } from '../capacity/degrade-ladder.ts';
import type { HealthStatus } from '../capacity/health-status.ts';
import type { AsrEngine, EngineState, EngineWork } from '../engines/engine.ts';
import type { EngineRegistry, ProviderInfo } from '../engines/registry.ts';
import type { Vad } from '../vad/vad.ts';

/** A type, not an interface, so that it can be answered as plain JSON. */
export type WorkerReadiness = {
  ready: boolean;
  reason?: string;
  state: EngineState;
  engine: string;
  /** What tells voices from noise. */
  vad: string;
  slots: number;
};

export type ModelStatus = WorkerReadiness & {
  model: string;
  status: HealthStatus;
  level: DegradeLevel;
  sessions: number;
} & Partial<EngineWork>;

export interface HealthDeps {
  readonly engine: AsrEngine;
  readonly vad: Pick<Vad, 'name'>;
  readonly registry: EngineRegistry;
  readonly capacity: Pick<CapacityMonitor, 'slots' | 'ready' | 'level' | 'status'>;
  readonly sessions: () => number;
  readonly draining: () => boolean;
}

/** What the worker says of itself: to Kubernetes and operators over HTTP, to gateways through its registration. */
export class WorkerHealth {
  readonly #deps: HealthDeps;

  constructor(deps: HealthDeps) {
    this.#deps = deps;
  }

  /** Whether it can take a session, and if not, why. */
  readiness(): WorkerReadiness {
    const { engine, vad, capacity, draining } = this.#deps;
    const { state, reason } = engine.health();
    const facts = { state, engine: engine.name, vad: vad.name, slots: capacity.slots };
    if (draining()) return { ready: false, reason: 'draining', ...facts };
    if (state !== 'ready') return { ready: false, reason: reason ?? state, ...facts };
    if (!capacity.ready) return { ready: false, reason: `overloaded: ${capacity.level}`, ...facts };
    return { ready: true, ...facts };
  }

  modelStatus(): ModelStatus {
    const { engine, capacity, sessions } = this.#deps;
    return {
      ...this.readiness(),
      model: engine.model,
      status: capacity.status,
      level: capacity.level,
      sessions: sessions(),
      ...engine.work?.(),
    };
  }

  /** The engines this worker could run, and which of them it does. */
  capabilities(): ProviderInfo[] {
    return this.#deps.registry.list();
  }
}
