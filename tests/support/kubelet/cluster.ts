import { mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type Clock, systemClock, type Timer } from '@voice-fleet/runtime/clock';
import type { ContainerExit } from './container-run.ts';
import { DeploymentControl } from './deployment-control.ts';
import type { Images } from './images.ts';
import { Addresses } from './network.ts';
import * as objects from './objects.ts';
import { type Node, PodRun } from './pod-run.ts';
import { ServiceAddress } from './service-address.ts';
import { StatefulSetControl } from './stateful-set-control.ts';
import type { PodOrder, Workload } from './workload.ts';

/** Less than a test may take, so that what is missing is told. */
const PATIENCE_MS = 100_000;
const SHOWN_LINES = 5;

/** Kinds that no process comes of. */
const WITHOUT_PODS = [
  'HTTPRoute',
  'HorizontalPodAutoscaler',
  'Ingress',
  'NetworkPolicy',
  'PersistentVolumeClaim',
  'PodDisruptionBudget',
  'PodMonitor',
  'PrometheusRule',
  'Role',
  'RoleBinding',
  'ScaledObject',
  'ServiceAccount',
  'ServiceMonitor',
];

export interface ClusterOptions {
  readonly images: Images;
  /** What `/app` of every image is on this host. */
  readonly appFolder: string;
  readonly namespace?: string;
  readonly clock?: Clock;
  /** Names outside of the cluster that pods may call, and their addresses. */
  readonly hosts?: Readonly<Record<string, string>>;
  /** How long it takes until Services know that a pod has become ready, or is ending; default 200 ms. */
  readonly endpointLagMs?: number;
  /** Variables of pods whose service account is mounted: where they find its token, and the API server. */
  readonly accountEnv?: Readonly<Record<string, string>>;
}

/**
 * A cluster of one host: takes rendered objects and runs each pod as processes of this repository, with the environment, probes,
 * hooks and order of ends that a kubelet has. What an image holds, and which address a name has, are substituted; nothing else.
 */
export class Cluster implements AsyncDisposable {
  /** Every run of a container that is over, in order. */
  readonly exits: ContainerExit[] = [];
  readonly #clock: Clock;
  readonly #options: ClusterOptions;
  readonly #addresses = new Addresses();
  readonly #folder = mkdtempSync(join(tmpdir(), 'cluster-'));
  readonly #configMaps = new Map<string, Record<string, string>>();
  readonly #secrets = new Map<string, Record<string, string>>();
  readonly #hosts: Map<string, string>;
  readonly #workloads = new Map<string, DeploymentControl | StatefulSetControl>();
  readonly #services = new Map<string, ServiceAddress>();
  readonly #pods = new Set<PodRun>();
  /** What is waited for, and how long yet. */
  readonly #waiting = new Map<() => void, Timer>();
  readonly #node: Node;
  #stirred = false;

  constructor(options: ClusterOptions) {
    this.#options = options;
    this.#clock = options.clock ?? systemClock;
    this.#hosts = new Map(Object.entries(options.hosts ?? {}));
    this.#node = {
      clock: this.#clock,
      namespace: options.namespace ?? 'default',
      images: options.images,
      appFolder: options.appFolder,
      configMaps: this.#configMaps,
      secrets: this.#secrets,
      hosts: this.#hosts,
      claims: (claim) => {
        const folder = join(this.#folder, claim);
        mkdirSync(folder, { recursive: true });
        return folder;
      },
      accountEnv: options.accountEnv ?? {},
      serviceLinks: () => this.#serviceLinks(),
      onExit: (exit) => this.exits.push(exit),
    };
  }

  get pods(): readonly PodRun[] {
    return [...this.#pods];
  }

  /** Pods of one controller or of what its name begins with. */
  podsOf(name: string): readonly PodRun[] {
    return this.pods.filter((pod) => pod.name.startsWith(`${name}-`));
  }

  workload(name: string): Workload {
    const found = [...this.#workloads.values()].find((each) => each.name === name);
    if (found === undefined) throw new Error(`there is no workload ${name}`);
    return found;
  }

  service(name: string): ServiceAddress {
    const found = this.#services.get(name);
    if (found === undefined) throw new Error(`there is no Service ${name} with an address`);
    return found;
  }

  /** Makes or changes all of these, and removes what was there before and is not among them. Throws for what cannot be. */
  async apply(rendered: readonly unknown[]): Promise<void> {
    const wanted = new Set<string>();
    const workloads: (() => void)[] = [];
    for (const object of rendered.map((each) => objects.AnyObject.parse(each))) {
      const { kind, metadata } = object;
      // Hooks are run by helm, not with the release.
      if (metadata.annotations?.['helm.sh/hook'] !== undefined) continue;
      wanted.add(`${kind}/${metadata.name}`);
      if (kind === 'Deployment' || kind === 'StatefulSet')
        workloads.push(() => this.#applyWorkload(object));
      else if (kind === 'Service') await this.#applyService(objects.Service.parse(object));
      else if (kind === 'ConfigMap')
        this.#configMaps.set(metadata.name, objects.ConfigMap.parse(object).data);
      else if (kind === 'Secret') this.#applySecret(objects.Secret.parse(object));
      else if (!WITHOUT_PODS.includes(kind))
        throw new Error(`this cluster knows no ${kind} (${metadata.name})`);
    }
    // Their pods may need any of the others.
    for (const apply of workloads) apply();
    for (const [key, workload] of this.#workloads) {
      if (wanted.has(key)) continue;
      this.#workloads.delete(key);
      void workload.remove();
    }
    this.#stir();
  }

  /** Runs a pod of its own, as helm does with a hook; settles when it is over. */
  async run(rendered: unknown): Promise<{ succeeded: boolean; lines: readonly string[] }> {
    const { metadata, spec } = objects.Pod.parse(rendered);
    const template = { metadata, spec };
    const pod = this.#make({ name: metadata.name, template });
    await this.until(() => pod.phase !== 'running');
    await pod.delete();
    const lines = pod.containers.flatMap((container) => container.lines);
    return { succeeded: pod.phase === 'succeeded', lines };
  }

  scale(name: string, replicas: number): void {
    this.workload(name).scale(replicas);
    this.#stir();
  }

  /** What a pod is told of itself from outside, as by a patch of its annotations. */
  annotate(pod: string, annotations: Readonly<Record<string, string>>): boolean {
    const found = this.pods.find(({ name }) => name === pod);
    if (found) found.annotations = { ...found.annotations, ...annotations };
    return found !== undefined;
  }

  /** Settles when every workload is as it was asked for, and no pod of it is ending any more. */
  async settled(): Promise<void> {
    await this.until(
      () =>
        [...this.#workloads.values()].every(({ settled }) => settled) &&
        this.pods.every(({ terminating }) => !terminating),
    );
  }

  /** Settles when this holds; it is looked at whenever a pod changes. Rejects, with what there is, when that never comes. */
  until(condition: () => boolean): Promise<void> {
    return new Promise((resolve, reject) => {
      const limit = this.#clock.after(PATIENCE_MS, () => {
        this.#waiting.delete(check);
        reject(new Error(`this is how far it came:\n${this.describe()}`));
      });
      const check = (): void => {
        if (!condition()) return;
        this.#waiting.delete(check);
        limit.cancel();
        resolve();
      };
      this.#waiting.set(check, limit);
      check();
    });
  }

  /** Every container: how it is, and what it last wrote. */
  describe(): string {
    return this.pods
      .flatMap((pod) =>
        pod.containers.map((each) => {
          const state = each.ready ? 'ready' : each.running ? 'runs' : 'has ended';
          const facts = [`${pod.name} ${each.name} ${state}`, `${each.restarts} restarts`];
          if (pod.terminating) facts.push('ending');
          if (each.unproven.length > 0) facts.push(`never well: ${each.unproven.join(', ')}`);
          return [facts.join(', '), ...each.lines.slice(-SHOWN_LINES)].join('\n    ');
        }),
      )
      .join('\n');
  }

  /** Ends all pods where they stand, and the addresses after them. */
  async [Symbol.asyncDispose](): Promise<void> {
    const removed = [...this.#workloads.values()].map((workload) => workload.remove());
    await Promise.all([...removed, ...this.pods.map((pod) => pod.kill())]);
    for (const service of this.#services.values()) service.close();
    for (const limit of this.#waiting.values()) limit.cancel();
    rmSync(this.#folder, { recursive: true, force: true });
  }

  #applyWorkload(object: objects.AnyObject): void {
    const key = `${object.kind}/${object.metadata.name}`;
    const deps = {
      clock: this.#clock,
      make: (order: PodOrder) => this.#make(order),
      wake: () => this.#stir(),
    };
    const present = this.#workloads.get(key);
    if (object.kind === 'Deployment') {
      const parsed = objects.Deployment.parse(object);
      if (present instanceof DeploymentControl) present.update(parsed);
      else this.#workloads.set(key, new DeploymentControl(parsed, deps));
      return;
    }
    const parsed = objects.StatefulSet.parse(object);
    if (present instanceof StatefulSetControl) present.update(parsed);
    else this.#workloads.set(key, new StatefulSetControl(parsed, deps));
  }

  async #applyService(service: objects.Service): Promise<void> {
    const { name } = service.metadata;
    // A headless one has no address, and is not called by its name here.
    if (this.#services.has(name) || service.spec.clusterIP === 'None') return;
    const address = new ServiceAddress({
      clock: this.#clock,
      service,
      ip: this.#addresses.next(),
      pods: () => this.pods,
      lagMs: this.#options.endpointLagMs ?? 200,
    });
    this.#services.set(name, address);
    this.#hosts.set(name, address.ip);
    await address.open();
  }

  #applySecret({ metadata, data, stringData }: ReturnType<typeof objects.Secret.parse>): void {
    const decoded = Object.entries(data).map(([key, value]) => [
      key,
      Buffer.from(value, 'base64').toString(),
    ]);
    this.#secrets.set(metadata.name, { ...Object.fromEntries(decoded), ...stringData });
  }

  #make({ name, template, labels = {}, claims = {} }: PodOrder): PodRun {
    const { metadata, spec } = template;
    const volumes = Object.entries(claims).map(([volume, claimName]) => ({
      name: volume,
      persistentVolumeClaim: { claimName },
    }));
    const identity = {
      name,
      ip: this.#addresses.next(),
      labels: { ...metadata.labels, ...labels },
      annotations: metadata.annotations,
      spec: { ...spec, volumes: [...spec.volumes, ...volumes] },
    };
    const pod = new PodRun(this.#node, identity, () => this.#stir());
    this.#pods.add(pod);
    void pod.gone.then(() => {
      this.#pods.delete(pod);
      this.#stir();
    });
    void pod.start();
    return pod;
  }

  #serviceLinks(): Record<string, string> {
    const links: Record<string, string> = {};
    for (const [name, { ip, ports }] of this.#services) {
      const prefix = name.toUpperCase().replaceAll('-', '_');
      const [port = 0] = ports;
      links[`${prefix}_SERVICE_HOST`] = ip;
      links[`${prefix}_SERVICE_PORT`] = String(port);
      links[`${prefix}_PORT`] = `tcp://${ip}:${port}`;
    }
    return links;
  }

  /** Everything is looked at again, once for all that has changed by now. */
  #stir(): void {
    if (this.#stirred) return;
    this.#stirred = true;
    queueMicrotask(() => {
      this.#stirred = false;
      for (const workload of this.#workloads.values()) workload.reconcile();
      for (const service of this.#services.values()) service.onChange();
      for (const check of this.#waiting.keys()) check();
    });
  }
}
