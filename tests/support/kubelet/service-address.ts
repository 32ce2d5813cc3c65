import { once } from 'node:events';
import { createServer, connect as dial, type Server, type Socket } from 'node:net';
import type { Clock, Timer } from '@voice-fleet/runtime/clock';
import type { Service } from './objects.ts';
import type { PodRun } from './pod-run.ts';

interface Endpoint {
  readonly pod: PodRun;
  readonly port: number;
}

/** A connection that did not reach a pod. */
export interface Refusal {
  readonly port: number;
  /** Undefined: no pod was ready. */
  readonly pod: string | undefined;
}

export interface ServiceAddressOptions {
  readonly clock: Clock;
  readonly service: Service;
  readonly ip: string;
  readonly pods: () => readonly PodRun[];
  /** How long it takes until nodes know of a change of pods. */
  readonly lagMs: number;
}

/**
 * The address of a Service: new connections go in turn to pods that are ready and not ending, as far as is known; those that
 * there are stay where they are.
 */
export class ServiceAddress {
  readonly ip: string;
  readonly refusals: Refusal[] = [];
  /** Connections that each pod got, by its name. */
  readonly connections = new Map<string, number>();
  readonly #options: ServiceAddressOptions;
  readonly #servers: Server[] = [];
  readonly #sockets = new Set<Socket>();
  readonly #timers = new Set<Timer>();
  readonly #ports: { port: number; target: number | string; known: Endpoint[] }[];
  #turn = 0;

  constructor(options: ServiceAddressOptions) {
    this.#options = options;
    this.ip = options.ip;
    this.#ports = options.service.spec.ports.map(({ port, targetPort }) => ({
      port,
      target: targetPort ?? port,
      known: [],
    }));
  }

  get ports(): number[] {
    return this.#ports.map(({ port }) => port);
  }

  /** Pods that new connections may go to, as far as is known. */
  get endpoints(): string[] {
    return [...new Set(this.#ports.flatMap(({ known }) => known.map(({ pod }) => pod.name)))];
  }

  async open(): Promise<void> {
    for (const { port } of this.#ports) {
      const server = createServer({ allowHalfOpen: true }, (socket) => this.#accept(port, socket));
      this.#servers.push(server);
      await once(server.listen(port, this.ip), 'listening');
    }
  }

  /** To be called when a pod has changed: what is so now is known after the lag. */
  onChange(): void {
    const { clock, service, pods, lagMs } = this.#options;
    const wanted = Object.entries(service.spec.selector);
    const ready = pods().filter(
      (pod) =>
        pod.ready && !pod.terminating && wanted.every(([key, value]) => pod.labels[key] === value),
    );
    const next = this.#ports.map(({ target }) =>
      ready.flatMap((pod) => {
        const port = pod.port(target);
        return port === undefined ? [] : [{ pod, port }];
      }),
    );
    const timer = clock.after(lagMs, () => {
      this.#timers.delete(timer);
      for (const [index, known] of next.entries()) {
        const entry = this.#ports[index];
        if (entry) entry.known = known;
      }
    });
    this.#timers.add(timer);
  }

  close(): void {
    for (const timer of this.#timers) timer.cancel();
    for (const server of this.#servers) server.close();
    for (const socket of this.#sockets) socket.destroy();
  }

  #accept(port: number, client: Socket): void {
    const known = this.#ports.find((each) => each.port === port)?.known ?? [];
    this.#turn += 1;
    const endpoint = known[this.#turn % known.length];
    if (endpoint === undefined) {
      this.refusals.push({ port, pod: undefined });
      client.on('error', () => undefined).resetAndDestroy();
      return;
    }
    const { name, ip } = endpoint.pod;
    const server = dial({ host: ip, port: endpoint.port, allowHalfOpen: true });
    const end = (): void => {
      client.destroy();
      server.destroy();
    };
    for (const socket of [client, server]) {
      this.#sockets.add(socket);
      socket.setNoDelay(true);
      socket.once('close', () => {
        this.#sockets.delete(socket);
        end();
      });
    }
    client.on('error', end);
    let reached = false;
    server.once('connect', () => {
      reached = true;
      this.connections.set(name, (this.connections.get(name) ?? 0) + 1);
      client.pipe(server).pipe(client);
    });
    server.on('error', () => {
      if (!reached) this.refusals.push({ port, pod: name });
      end();
    });
  }
}
