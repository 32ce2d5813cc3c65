import { once } from 'node:events';
import { readFile, stat } from 'node:fs/promises';
import type { Server as HttpServer } from 'node:http';
import { createServer, type Server as HttpsServer } from 'node:https';
import type { AddressInfo } from 'node:net';
import type { Clock, Timer } from '@voice-fleet/runtime/clock';
import type { Logger } from '@voice-fleet/telemetry/logger';
import { limitHttp } from './limited-http.ts';
import type { TlsSettings } from './tls-env.ts';

/** How often the files are looked at: a certificate is renewed days before it ends. */
const CHECK_MS = 60_000;

export interface TlsDoorOptions extends TlsSettings {
  readonly host: string;
  readonly headersTimeoutMs: number;
  readonly clock: Clock;
  readonly log: Logger;
}

/**
 * The same server through TLS, as SDKs insist on it: what comes in is handed to the plain server's own listeners. A renewed
 * certificate is taken up within a minute.
 */
export class TlsDoor {
  readonly #options: TlsDoorOptions;
  readonly #server: HttpsServer;
  #check: Timer | undefined;
  #checking: Promise<void> | undefined;
  #version: string;

  private constructor(options: TlsDoorOptions, server: HttpsServer, version: string) {
    this.#options = options;
    this.#server = server;
    this.#version = version;
    this.#check = options.clock.every(CHECK_MS, () => {
      this.#checking ??= this.#reload().finally(() => {
        this.#checking = undefined;
      });
    });
  }

  /** Rejects when a file cannot be read, is no certificate or key, or the port is taken. */
  static async open(http: HttpServer, options: TlsDoorOptions): Promise<TlsDoor> {
    const version = await versionOf(options);
    const server = createServer({
      ...limitHttp(options.headersTimeoutMs),
      ...(await read(options)),
    });
    server.timeout = http.timeout;
    server.on('request', (request, response) => http.emit('request', request, response));
    server.on('upgrade', (request, socket, head) => http.emit('upgrade', request, socket, head));
    // One that does not finish its handshake is nobody's fault here.
    server.on('tlsClientError', (_, socket) => socket.destroy());
    await once(server.listen(options.port, options.host), 'listening');
    return new TlsDoor(options, server, version);
  }

  get port(): number {
    return (this.#server.address() as AddressInfo).port;
  }

  /** Takes no more connections, and closes those on which nothing is under way. */
  close(): void {
    this.#check?.cancel();
    this.#check = undefined;
    this.#server.close();
    this.#server.closeIdleConnections();
  }

  closeAllConnections(): void {
    this.#server.closeAllConnections();
  }

  /** Keeps what it has when the new one is of no use. */
  async #reload(): Promise<void> {
    const { log } = this.#options;
    try {
      const version = await versionOf(this.#options);
      if (version === this.#version) return;
      this.#server.setSecureContext(await read(this.#options));
      this.#version = version;
      log.info({ event: 'certificate_renewed' });
    } catch (error) {
      log.error({ event: 'certificate_unusable', err: error });
    }
  }
}

async function read({ certFile, keyFile }: TlsSettings): Promise<{ cert: Buffer; key: Buffer }> {
  const [cert, key] = await Promise.all([readFile(certFile), readFile(keyFile)]);
  return { cert, key };
}

async function versionOf({ certFile, keyFile }: TlsSettings): Promise<string> {
  const files = await Promise.all([stat(certFile), stat(keyFile)]);
  return files.map(({ mtimeMs, ino, size }) => `${mtimeMs} ${ino} ${size}`).join();
}
