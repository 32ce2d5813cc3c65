import { createHash } from 'node:crypto';
import type { Clock, Timer } from '@voice-fleet/runtime/clock';
import type { PodTemplate } from './objects.ts';
import type { PodRun } from './pod-run.ts';

/** What pods are made of, by whoever wants them. */
export interface PodOrder {
  readonly name: string;
  readonly template: PodTemplate;
  /** Beside those of the template. */
  readonly labels?: Readonly<Record<string, string>>;
  /** Volumes that are claims of this pod, by their name. */
  readonly claims?: Readonly<Record<string, string>>;
}

/** Makes a pod and starts it. */
export type MakePod = (order: PodOrder) => PodRun;

/** A controller: it looks at its pods whenever something has changed, and takes the next step. */
export interface Workload {
  readonly name: string;
  /** Its pods, those that are ending included. */
  readonly pods: readonly PodRun[];
  /** Every pod is as it was asked for, and available. Others may still be ending. */
  readonly settled: boolean;
  reconcile(): void;
  scale(replicas: number): void;
  /** Settles when no pod is left. */
  remove(): Promise<void>;
}

export const DELETION_COST = 'controller.kubernetes.io/pod-deletion-cost';

/** Tells two templates apart. */
export function revisionOf(template: PodTemplate): string {
  return createHash('sha256').update(JSON.stringify(template)).digest('hex').slice(0, 9);
}

/** Pods of one controller, with the revision of each, and when they count as available. */
export class PodSet {
  readonly #revisions = new Map<PodRun, string>();
  readonly #clock: Clock;
  readonly #wake: () => void;
  #timer: Timer | undefined;

  /** `wake`: called when a pod may have become available by time alone. */
  constructor(clock: Clock, wake: () => void) {
    this.#clock = clock;
    this.#wake = wake;
  }

  get all(): PodRun[] {
    return [...this.#revisions.keys()];
  }

  /** Neither ending nor over. */
  get active(): PodRun[] {
    return this.all.filter(({ terminating, phase }) => !terminating && phase === 'running');
  }

  add(pod: PodRun, revision: string): void {
    this.#revisions.set(pod, revision);
    void pod.gone.then(() => {
      this.#revisions.delete(pod);
      this.#wake();
    });
  }

  revision(pod: PodRun): string | undefined {
    return this.#revisions.get(pod);
  }

  /** Ready for so long. One that is not yet is looked at again when it is. */
  available(pod: PodRun, minReadyS: number): boolean {
    if (pod.readySinceMs === undefined || pod.terminating) return false;
    const leftMs = pod.readySinceMs + minReadyS * 1000 - this.#clock.now();
    if (leftMs <= 0) return true;
    this.#timer?.cancel();
    this.#timer = this.#clock.after(leftMs, this.#wake);
    return false;
  }

  async removeAll(): Promise<void> {
    this.#timer?.cancel();
    await Promise.all(this.all.map((pod) => pod.delete()));
  }
}
