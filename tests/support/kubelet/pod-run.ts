import { randomUUID } from 'node:crypto';
import { join } from 'node:path';
import type { Clock } from '@voice-fleet/runtime/clock';
import { ContainerProcess, type Program } from './container-process.ts';
import { type ContainerExit, ContainerRun } from './container-run.ts';
import { containerEnv, type Data, type EnvSources, expand } from './environment.ts';
import { commandLine, type Images, imageOf } from './images.ts';
import { type Hosts, localized } from './network.ts';
import type { Container, PodSpec, Probe } from './objects.ts';
import { httpAttempt, tcpAttempt } from './probe-loop.ts';
import { type Claims, PodVolumes } from './volumes.ts';

/** What all pods of a cluster share. */
export interface Node {
  readonly clock: Clock;
  readonly namespace: string;
  readonly images: Images;
  /** What `/app` is on this host. */
  readonly appFolder: string;
  readonly configMaps: Data;
  readonly secrets: Data;
  readonly hosts: Hosts;
  readonly claims: Claims;
  /** Variables of every pod whose service account is mounted. */
  readonly accountEnv: Readonly<Record<string, string>>;
  readonly serviceLinks: () => Readonly<Record<string, string>>;
  readonly onExit: (exit: ContainerExit) => void;
}

export interface PodIdentity {
  readonly name: string;
  readonly ip: string;
  readonly labels: Readonly<Record<string, string>>;
  readonly annotations: Readonly<Record<string, string>>;
  readonly spec: PodSpec;
}

/** A pod: its containers as processes of this host, in the order in which a kubelet starts and ends them. */
export class PodRun {
  readonly name: string;
  readonly ip: string;
  readonly labels: Readonly<Record<string, string>>;
  /** May be patched by the pod itself. */
  annotations: Readonly<Record<string, string>>;
  readonly uid = randomUUID();
  readonly createdMs: number;
  readonly spec: PodSpec;
  /** Since when it is ready; undefined: it is not. */
  readySinceMs: number | undefined;
  terminating = false;
  /** How it ended by itself, if its containers are not restarted. */
  phase: 'running' | 'succeeded' | 'failed' = 'running';
  /** Settles when nothing of it is left, after `delete`. */
  readonly gone: Promise<void>;
  readonly #node: Node;
  readonly #onChange: () => void;
  readonly #volumes: PodVolumes;
  readonly #runs = new Map<Container, ContainerRun>();
  readonly #waiting = new Set<() => void>();
  #setGone: () => void = () => undefined;

  constructor(node: Node, identity: PodIdentity, onChange: (pod: PodRun) => void) {
    this.#node = node;
    this.name = identity.name;
    this.ip = identity.ip;
    this.labels = identity.labels;
    this.annotations = identity.annotations;
    this.spec = identity.spec;
    this.createdMs = node.clock.now();
    this.#volumes = new PodVolumes(this.spec.volumes, node);
    this.gone = new Promise((resolve) => {
      this.#setGone = resolve;
    });
    this.#onChange = () => {
      this.#seeReadiness();
      for (const check of this.#waiting) check();
      onChange(this);
    };
  }

  get ready(): boolean {
    return this.readySinceMs !== undefined;
  }

  get containers(): readonly ContainerRun[] {
    return [...this.#runs.values()];
  }

  container(name: string): ContainerRun {
    const found = this.containers.find((each) => each.name === name);
    if (found === undefined) throw new Error(`${this.name} has no running container ${name}`);
    return found;
  }

  /** The port of one of its containers, by name or number. */
  port(port: number | string): number | undefined {
    if (typeof port === 'number') return port;
    const { containers, initContainers } = this.spec;
    const ports = [...containers, ...initContainers].flatMap((each) => each.ports);
    return ports.find(({ name }) => name === port)?.containerPort;
  }

  /** Settles when all its containers were started once, or it is deleted before. */
  async start(): Promise<void> {
    const { initContainers, containers, restartPolicy } = this.spec;
    for (const container of initContainers) {
      const sidecar = container.restartPolicy === 'Always';
      const restarts = sidecar ? 'Always' : restartPolicy === 'Never' ? 'Never' : 'OnFailure';
      const run = this.#run(container, restarts);
      await this.#when(() => this.terminating || (sidecar ? run.started : run.over));
      if (this.terminating) return;
      if (!sidecar && run.lastExit?.code !== 0) return this.#end('failed');
    }
    const runs = containers.map((container) => this.#run(container, restartPolicy));
    void this.#when(() => this.terminating || runs.every(({ over }) => over)).then(() => {
      const failed = runs.some(({ lastExit }) => lastExit?.code !== 0);
      if (!this.terminating) this.#end(failed ? 'failed' : 'succeeded');
    });
  }

  /** Settles when nothing of it is left. No endpoint points here from the first moment on. */
  async delete(graceMs = this.#graceMs): Promise<void> {
    if (!this.terminating) {
      this.terminating = true;
      this.#onChange();
      await this.#stopContainers(graceMs);
      this.#volumes.remove();
      this.#setGone();
      this.#onChange();
    }
    await this.gone;
  }

  /** As when its host is lost. */
  async kill(): Promise<void> {
    const deleted = this.delete(0);
    for (const run of this.containers) run.kill();
    await deleted;
  }

  get #graceMs(): number {
    return this.spec.terminationGracePeriodSeconds * 1000;
  }

  #end(phase: 'succeeded' | 'failed'): void {
    this.phase = phase;
    this.#onChange();
    void this.#stopContainers(this.#graceMs);
  }

  /** Main containers at the same time; each sidecar when these and the sidecars behind it are gone. */
  async #stopContainers(graceMs: number): Promise<void> {
    const isSidecar = ([container]: [Container, ContainerRun]): boolean =>
      container.restartPolicy === 'Always';
    const all = [...this.#runs];
    const stopped = all.filter((each) => !isSidecar(each)).map(([, run]) => run.stop(graceMs));
    for (const [, run] of all.filter(isSidecar).reverse())
      stopped.push(run.stop(graceMs, Promise.all([...stopped])));
    await Promise.all(stopped);
  }

  #run(container: Container, restarts: 'Always' | 'OnFailure' | 'Never'): ContainerRun {
    const { clock, onExit } = this.#node;
    const run = new ContainerRun({
      clock,
      pod: this.name,
      container,
      restarts,
      graceMs: this.#graceMs,
      program: (command) => this.#program(container, command),
      attempt: (probe, signal) => this.#attempt(container, probe, signal),
      onChange: this.#onChange,
      onExit,
    });
    this.#runs.set(container, run);
    run.start();
    return run;
  }

  /** What a container runs, or a command inside it. */
  #program(container: Container, inside?: readonly string[]): Program {
    const { namespace, hosts, images, accountEnv } = this.#node;
    const image = imageOf(images, container.image);
    const rendered = { ...image.env, ...containerEnv(container, this.#envSources()) };
    const here = (text: string): string =>
      localized(this.#volumes.path(container, text), this.ip, namespace, hosts);
    const env: Record<string, string> = {};
    for (const [name, value] of Object.entries(rendered)) env[name] = here(value);
    const tmp = this.#volumes.path(container, '/tmp');
    const own = {
      PATH: process.env['PATH'] ?? '',
      HOSTNAME: this.name,
      // So that nothing outlives the tests.
      VF_EXIT_WITH_PARENT: '1',
      ...(tmp !== '/tmp' && { TMPDIR: tmp }),
      ...(this.spec.automountServiceAccountToken && accountEnv),
    };
    const line = inside ?? commandLine(image, container);
    const argv = line.map((each) => here(expand(each, rendered)));
    const played = inside === undefined && image.standIn ? image.standIn(argv, env) : argv;
    return {
      argv: played.map((each, place) =>
        place === 0 && each === 'node' ? process.execPath : this.#inApp(each),
      ),
      env: { ...own, ...env },
      cwd: this.#folder(container, container.workingDir ?? image.workingDir),
    };
  }

  #inApp(path: string): string {
    const { appFolder } = this.#node;
    return path === '/app' || path.startsWith('/app/') ? join(appFolder, path.slice(4)) : path;
  }

  #folder(container: Container, path: string): string {
    const mounted = this.#inApp(this.#volumes.path(container, path));
    return mounted === path ? this.#volumes.own(container, path) : mounted;
  }

  #envSources(): EnvSources {
    const { configMaps, secrets, serviceLinks, namespace } = this.#node;
    return {
      configMaps,
      secrets,
      links: this.spec.enableServiceLinks ? serviceLinks() : {},
      field: (path) => {
        const key = /^metadata\.(labels|annotations)\['(.+)'\]$/.exec(path);
        if (key?.[2] !== undefined)
          return (key[1] === 'labels' ? this.labels : this.annotations)[key[2]] ?? '';
        const fields: Readonly<Record<string, string>> = {
          'metadata.name': this.name,
          'metadata.namespace': namespace,
          'metadata.uid': this.uid,
          'spec.nodeName': 'this-host',
          'spec.serviceAccountName': this.spec.serviceAccountName,
          'status.podIP': this.ip,
          'status.podIPs': this.ip,
          'status.hostIP': '127.0.0.1',
        };
        return fields[path];
      },
    };
  }

  async #attempt(container: Container, probe: Probe, signal: AbortSignal): Promise<boolean> {
    const { httpGet, tcpSocket, exec } = probe;
    if (exec) {
      const run = new ContainerProcess(this.#program(container, exec.command), () => undefined);
      signal.addEventListener('abort', () => run.signal('SIGKILL'), { once: true });
      return (await run.exited).code === 0;
    }
    const named = httpGet?.port ?? tcpSocket?.port ?? '';
    const port = container.ports.find(({ name }) => name === named)?.containerPort ?? named;
    if (typeof port !== 'number')
      throw new Error(`${container.name} is probed on port ${port}, which it does not have`);
    if (httpGet === undefined) return tcpAttempt(this.ip, port, signal);
    const url = new URL(httpGet.path, `http://${this.ip}:${port}`);
    const headers = httpGet.httpHeaders.map(({ name, value }) => [name, value] as const);
    return httpAttempt(url, Object.fromEntries(headers), signal);
  }

  #seeReadiness(): void {
    const { containers, initContainers } = this.spec;
    const needed = [...containers, ...initContainers.filter((each) => each.restartPolicy)];
    const ready =
      this.phase === 'running' &&
      needed.every((container) => this.#runs.get(container)?.ready === true);
    if (!ready) this.readySinceMs = undefined;
    else this.readySinceMs ??= this.#node.clock.now();
  }

  #when(condition: () => boolean): Promise<void> {
    return new Promise((resolve) => {
      const check = (): void => {
        if (!condition()) return;
        this.#waiting.delete(check);
        resolve();
      };
      this.#waiting.add(check);
      check();
    });
  }
}
