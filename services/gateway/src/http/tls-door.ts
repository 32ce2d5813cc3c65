import { X509Certificate } from 'node:crypto';
import { once } from 'node:events';
import { readFile, stat } from 'node:fs/promises';
import type { Server as HttpServer } from 'node:http';
import { createServer, type Server as HttpsServer } from 'node:https';
import type { AddressInfo } from 'node:net';
import type { Clock, Timer } from '@voice-fleet/runtime/clock';
import type { Logger } from '@voice-fleet/telemetry/logger';
import { type HttpTimes, limitHttp } from './limited-http.ts';
import type { TlsSettings } from './tls-env.ts';

/** How often the files are looked at: a certificate is renewed days before it ends. */
const CHECK_MS = 60_000;

export interface TlsDoorOptions extends TlsSettings, HttpTimes {
  readonly host: string;
  readonly clock: Clock;
  readonly log: Logger;
  /** Told of each certificate that is taken up: when it ends, in Unix seconds. */
  readonly onCertificate?: (endsS: number) => void;
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
    const files = await read(options);
    const server = createServer({
      ...limitHttp(options),
      ...files,
    });
    options.onCertificate?.(endOf(files.cert));
    server.timeout = http.timeout;
    for (const event of ['request', 'checkContinue'] as const)
      server.on(event, (request, response) => http.emit(event, request, response));
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
    const { log, onCertificate } = this.#options;
    try {
      const version = await versionOf(this.#options);
      if (version === this.#version) return;
      const files = await read(this.#options);
      this.#server.setSecureContext(files);
      this.#version = version;
      onCertificate?.(endOf(files.cert));
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

/** Of a chain the first certificate is the server's own. */
function endOf(cert: Buffer): number {
  return Math.floor(Date.parse(new X509Certificate(cert).validTo) / 1000);
}

async function versionOf({ certFile, keyFile }: TlsSettings): Promise<string> {
  const files = await Promise.all([stat(certFile), stat(keyFile)]);
  return files.map(({ mtimeMs, ino, size }) => `${mtimeMs} ${ino} ${size}`).join();
}
