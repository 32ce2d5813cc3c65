import { once } from 'node:events';
import type { AddressInfo } from 'node:net';
import { connect, createServer, type Server, type Socket } from 'node:net';

interface Pair {
  readonly client: Socket;
  readonly gateway: Socket;
  /** The client was cut off; the gateway does not know. */
  isCut: boolean;
}

/** The network between clients and one gateway: passes bytes on until it is told to lose them. */
class Path {
  readonly #server: Server;
  readonly #pairs = new Set<Pair>();
  #isMute = false;

  constructor(gatewayPort: number) {
    this.#server = createServer((client) => {
      const gateway = connect(gatewayPort, '127.0.0.1');
      const pair: Pair = { client, gateway, isCut: false };
      this.#pairs.add(pair);
      client.on('data', (bytes) => void gateway.write(bytes));
      gateway.on('data', (bytes) => {
        if (!this.#isMute && !pair.isCut) client.write(bytes);
      });
      for (const [from, to] of [
        [client, gateway],
        [gateway, client],
      ] as const) {
        from.on('error', () => undefined);
        from.on('close', () => {
          // A lost network leaves the gateway's side open.
          if (pair.isCut && from === client) return;
          to.destroy();
          this.#pairs.delete(pair);
        });
      }
    });
  }

  async listen(): Promise<URL> {
    await once(this.#server.listen(0, '127.0.0.1'), 'listening');
    const { port } = this.#server.address() as AddressInfo;
    return new URL(`ws://127.0.0.1:${port}/api/asr-streaming`);
  }

  /** What gateways say is lost from now on, and nobody notices. */
  mute(): void {
    this.#isMute = true;
  }

  /** Cuts every client off, without a word to the gateway; new connections are good. */
  cut(): void {
    for (const pair of this.#pairs) {
      pair.isCut = true;
      pair.client.destroy();
    }
    this.#isMute = false;
  }

  async close(): Promise<void> {
    for (const { client, gateway } of this.#pairs) {
      client.destroy();
      gateway.destroy();
    }
    this.#server.close();
    await once(this.#server, 'close');
  }
}

/** A network of one's own in front of each gateway. */
export class WeakNetwork implements AsyncDisposable {
  readonly urls: readonly URL[];
  readonly #paths: readonly Path[];

  private constructor(paths: readonly Path[], urls: readonly URL[]) {
    this.#paths = paths;
    this.urls = urls;
  }

  static async before(gateways: readonly URL[]): Promise<WeakNetwork> {
    const paths = gateways.map(({ port }) => new Path(Number(port)));
    const urls = await Promise.all(paths.map((path) => path.listen()));
    return new WeakNetwork(paths, urls);
  }

  /** All that gateways say for so long is lost, then every connection: clients know, gateways do not. */
  async fail(muteMs: number): Promise<void> {
    for (const path of this.#paths) path.mute();
    await new Promise((resolve) => setTimeout(resolve, muteMs));
    for (const path of this.#paths) path.cut();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.all(this.#paths.map((path) => path.close()));
  }
}
