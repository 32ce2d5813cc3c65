import { randomBytes } from 'node:crypto';
import type { Clock } from '@voice-fleet/runtime/clock';
import { countOf, type Deployment } from './objects.ts';
import type { PodRun } from './pod-run.ts';
import { DELETION_COST, type MakePod, PodSet, revisionOf, type Workload } from './workload.ts';

/** A Deployment and its ReplicaSets, in the rules of Kubernetes for rolling updates and for whom a ReplicaSet removes first. */
export class DeploymentControl implements Workload {
  readonly name: string;
  readonly #set: PodSet;
  readonly #make: MakePod;
  #spec: Deployment['spec'];
  /** Where a manifest names none, it stays what it is. */
  #replicas: number;

  constructor(object: Deployment, deps: { clock: Clock; make: MakePod; wake: () => void }) {
    this.name = object.metadata.name;
    this.#spec = object.spec;
    this.#replicas = object.spec.replicas ?? 1;
    this.#make = deps.make;
    this.#set = new PodSet(deps.clock, deps.wake);
  }

  get pods(): readonly PodRun[] {
    return this.#set.all;
  }

  get settled(): boolean {
    const replicas = this.#replicas;
    const { minReadySeconds } = this.#spec;
    const { active } = this.#set;
    return (
      active.length === replicas &&
      active.every((pod) => this.#isNew(pod) && this.#set.available(pod, minReadySeconds))
    );
  }

  update(object: Deployment): void {
    this.#spec = object.spec;
    this.#replicas = object.spec.replicas ?? this.#replicas;
  }

  scale(replicas: number): void {
    this.#replicas = replicas;
  }

  reconcile(): void {
    const { strategy } = this.#spec;
    if (strategy.type === 'Recreate') this.#recreate();
    else this.#roll();
  }

  remove(): Promise<void> {
    this.#replicas = 0;
    return this.#set.removeAll();
  }

  #isNew(pod: PodRun): boolean {
    return this.#set.revision(pod) === revisionOf(this.#spec.template);
  }

  #recreate(): void {
    const old = this.#set.all.filter((pod) => !this.#isNew(pod));
    for (const pod of old) void pod.delete();
    if (old.length === 0) this.#scaleNew(this.#replicas);
  }

  #roll(): void {
    const replicas = this.#replicas;
    const { minReadySeconds, strategy } = this.#spec;
    const { rollingUpdate } = strategy;
    const surge = countOf(rollingUpdate.maxSurge, replicas, Math.ceil);
    // Both may be none after rounding: then one may be away.
    const away = countOf(rollingUpdate.maxUnavailable, replicas, Math.floor) || (surge ? 0 : 1);
    const old = this.#set.active.filter((pod) => !this.#isNew(pod));
    this.#scaleNew(Math.min(replicas, replicas + surge - old.length));
    if (old.length === 0) return;

    const isAvailable = (pod: PodRun): boolean => this.#set.available(pod, minReadySeconds);
    const active = this.#set.active;
    const least = replicas - away;
    const newUnavailable = active.filter((pod) => this.#isNew(pod) && !isAvailable(pod)).length;
    let removable = active.length - least - newUnavailable;
    for (const pod of old.filter((each) => !isAvailable(each))) {
      if (removable <= 0) return;
      void pod.delete();
      removable -= 1;
    }
    const spare = active.filter(isAvailable).length - least;
    const victims = inOrderOfRemoval(old.filter(isAvailable));
    for (const pod of victims.slice(0, Math.max(0, Math.min(removable, spare)))) void pod.delete();
  }

  /** Until there are so many of the present revision. */
  #scaleNew(count: number): void {
    const { template } = this.#spec;
    const present = this.#set.active.filter((pod) => this.#isNew(pod));
    const revision = revisionOf(template);
    for (let missing = count - present.length; missing > 0; missing -= 1) {
      const name = `${this.name}-${revision}-${randomBytes(3).toString('hex').slice(0, 5)}`;
      const labels = { 'pod-template-hash': revision };
      this.#set.add(this.#make({ name, template, labels }), revision);
    }
    const extra = present.length - this.#replicas;
    for (const pod of inOrderOfRemoval(present).slice(0, Math.max(0, extra))) void pod.delete();
  }
}

/** Whom a ReplicaSet removes first: who is not ready, then who costs least, then who has been ready for the shortest time. */
function inOrderOfRemoval(pods: readonly PodRun[]): PodRun[] {
  const cost = ({ annotations }: PodRun): number => Number(annotations[DELETION_COST] ?? 0);
  return [...pods].sort(
    (a, b) =>
      Number(a.ready) - Number(b.ready) ||
      cost(a) - cost(b) ||
      (b.readySinceMs ?? 0) - (a.readySinceMs ?? 0) ||
      b.createdMs - a.createdMs,
  );
}
