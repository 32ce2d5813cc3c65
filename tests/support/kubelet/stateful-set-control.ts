import type { Clock } from '@voice-fleet/runtime/clock';
import { countOf, type StatefulSet } from './objects.ts';
import type { PodRun } from './pod-run.ts';
import { type MakePod, PodSet, revisionOf, type Workload } from './workload.ts';

/**
 * A StatefulSet: pods with ordinals, made in their order or all at once, the highest removed first, and updated from the highest
 * down. A pod that is lost amid an update comes back as the new revision.
 */
export class StatefulSetControl implements Workload {
  readonly name: string;
  readonly #set: PodSet;
  readonly #make: MakePod;
  #spec: StatefulSet['spec'];
  /** Where a manifest names none, it stays what it is. */
  #replicas: number;

  constructor(object: StatefulSet, deps: { clock: Clock; make: MakePod; wake: () => void }) {
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
    const { updateStrategy } = this.#spec;
    const { partition } = updateStrategy.rollingUpdate;
    const pods = this.#byOrdinal();
    return (
      this.#set.all.length === replicas &&
      pods.every(
        (pod, ordinal) =>
          pod !== undefined &&
          this.#isAvailable(pod) &&
          (ordinal < partition || updateStrategy.type === 'OnDelete' || this.#isNew(pod)),
      )
    );
  }

  update(object: StatefulSet): void {
    this.#spec = object.spec;
    this.#replicas = object.spec.replicas ?? this.#replicas;
  }

  scale(replicas: number): void {
    this.#replicas = replicas;
  }

  reconcile(): void {
    const pods = this.#byOrdinal();
    const inOrder = this.#spec.podManagementPolicy === 'OrderedReady';
    for (const [ordinal, pod] of pods.entries()) {
      if (pod === undefined) this.#create(ordinal);
      if (inOrder && (pod === undefined || !this.#isAvailable(pod))) return;
    }
    const condemned = this.#set.all
      .filter((pod) => this.#ordinal(pod) >= this.#replicas)
      .sort((a, b) => this.#ordinal(b) - this.#ordinal(a));
    for (const pod of inOrder ? condemned.slice(0, 1) : condemned) void pod.delete();
    if (inOrder && condemned.length > 0) return;
    this.#roll(pods);
  }

  remove(): Promise<void> {
    this.#replicas = 0;
    return this.#set.removeAll();
  }

  /** One after the other, from the highest ordinal down: the next when those before it are available. */
  #roll(pods: readonly (PodRun | undefined)[]): void {
    const { updateStrategy } = this.#spec;
    if (updateStrategy.type === 'OnDelete') return;
    const { partition, maxUnavailable } = updateStrategy.rollingUpdate;
    const most = Math.max(1, countOf(maxUnavailable, this.#replicas, Math.ceil));
    let away = pods.filter((pod) => pod === undefined || !this.#isAvailable(pod)).length;
    for (const pod of pods.slice(partition).reverse()) {
      if (pod === undefined || pod.terminating || this.#isNew(pod)) continue;
      // One that is away already costs nothing more.
      if (this.#isAvailable(pod)) {
        if (away >= most) return;
        away += 1;
      }
      void pod.delete();
    }
  }

  #byOrdinal(): (PodRun | undefined)[] {
    const pods = new Map(this.#set.all.map((pod) => [this.#ordinal(pod), pod]));
    return Array.from({ length: this.#replicas }, (_, ordinal) => pods.get(ordinal));
  }

  #ordinal(pod: PodRun): number {
    return Number(pod.labels['apps.kubernetes.io/pod-index']);
  }

  #isNew(pod: PodRun): boolean {
    return this.#set.revision(pod) === revisionOf(this.#spec.template);
  }

  #isAvailable(pod: PodRun): boolean {
    return this.#set.available(pod, this.#spec.minReadySeconds);
  }

  #create(ordinal: number): void {
    const { template, volumeClaimTemplates } = this.#spec;
    const name = `${this.name}-${ordinal}`;
    const labels = {
      'statefulset.kubernetes.io/pod-name': name,
      'apps.kubernetes.io/pod-index': String(ordinal),
      'controller-revision-hash': revisionOf(template),
    };
    const claims = Object.fromEntries(
      volumeClaimTemplates.map(({ metadata }) => [metadata.name, `${metadata.name}-${name}`]),
    );
    this.#set.add(this.#make({ name, template, labels, claims }), revisionOf(template));
  }
}
