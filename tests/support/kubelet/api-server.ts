import { once } from 'node:events';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { createServer, type Server } from 'node:https';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { selfSignedCertificate } from '@voice-fleet/testkit/certificate';
import { z } from 'zod';

const TOKEN = 'token-of-the-rehearsal';
const PATCH = z.object({
  metadata: z.object({ annotations: z.record(z.string(), z.string()) }),
});

/** The one request that pods of ours make to Kubernetes: a merge patch of annotations of their own. */
export class PodPatches implements AsyncDisposable {
  /** Answers that were no 200. */
  readonly refused: string[] = [];
  readonly #server: Server;
  readonly #accountDir: string;

  private constructor(server: Server, accountDir: string) {
    this.#server = server;
    this.#accountDir = accountDir;
  }

  /** `onPatch`: false when there is no such pod. */
  static async start(
    onPatch: (pod: string, annotations: Readonly<Record<string, string>>) => boolean,
  ): Promise<PodPatches> {
    const { cert, key } = await selfSignedCertificate();
    const accountDir = mkdtempSync(join(tmpdir(), 'account-'));
    writeFileSync(join(accountDir, 'ca.crt'), cert);
    writeFileSync(join(accountDir, 'token'), TOKEN);
    const server = createServer({ cert, key });
    const patches = new PodPatches(server, accountDir);
    server.on('request', (request, response) => {
      const chunks: Buffer[] = [];
      request.on('data', (chunk: Buffer) => chunks.push(chunk));
      request.on('end', () => {
        const { method, url = '', headers } = request;
        const pod = /^\/api\/v1\/namespaces\/[\w-]+\/pods\/([\w-]+)$/.exec(url)?.[1];
        const answer = (): number => {
          if (headers.authorization !== `Bearer ${TOKEN}`) return 401;
          if (method !== 'PATCH' || pod === undefined) return 404;
          if (headers['content-type'] !== 'application/merge-patch+json') return 415;
          const { metadata } = PATCH.parse(JSON.parse(Buffer.concat(chunks).toString()));
          return onPatch(pod, metadata.annotations) ? 200 : 404;
        };
        const status = answer();
        if (status !== 200) patches.refused.push(`${status} ${method} ${url}`);
        response.writeHead(status).end('{}');
      });
    });
    await once(server.listen(0, '127.0.0.1'), 'listening');
    return patches;
  }

  /** What a pod with a mounted service account knows of it. */
  get accountEnv(): Record<string, string> {
    const { port } = this.#server.address() as AddressInfo;
    return {
      KUBERNETES_SERVICE_HOST: '127.0.0.1',
      KUBERNETES_SERVICE_PORT: String(port),
      KUBERNETES_SERVICE_ACCOUNT_DIR: this.#accountDir,
    };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#server.closeAllConnections();
    await new Promise((resolve) => this.#server.close(resolve));
    rmSync(this.#accountDir, { recursive: true });
  }
}
