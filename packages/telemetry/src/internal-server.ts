import { createServer, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import type { Registry } from 'prom-client';
import { metricsPage } from './metrics-page.ts';

export interface Readiness {
  readonly ready: boolean;
  readonly [fact: string]: unknown;
}

export interface InternalServer {
  readonly port: number;
  close(): Promise<void>;
}

function reply(response: ServerResponse, status: number, type: string, body: string): void {
  response.writeHead(status, { 'content-type': type }).end(body);
}

/** The port for operators only: `/metrics`, `/livez` (the process runs) and `/readyz`. Port 0 takes a free one. */
export async function startInternalServer(options: {
  port: number;
  host: string;
  registry: Registry;
  readiness: () => Promise<Readiness> | Readiness;
}): Promise<InternalServer> {
  const server = createServer((request, response) => {
    const answer = async (): Promise<void> => {
      switch (request.url?.split('?', 1)[0]) {
        case '/metrics': {
          const page = await metricsPage(options.registry, request.headers.accept);
          return reply(response, 200, page.contentType, page.text);
        }
        case '/livez':
          return reply(response, 200, 'application/json', '{"status":"ok"}');
        case '/readyz': {
          const readiness = await options.readiness();
          return reply(
            response,
            readiness.ready ? 200 : 503,
            'application/json',
            JSON.stringify(readiness),
          );
        }
        default:
          return reply(
            response,
            404,
            'application/json',
            '{"error":"try /metrics, /livez or /readyz"}',
          );
      }
    };
    answer().catch((error: unknown) =>
      reply(response, 500, 'application/json', JSON.stringify({ error: String(error) })),
    );
  });
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject);
    server.listen(options.port, options.host, resolve);
  });
  return {
    port: (server.address() as AddressInfo).port,
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  };
}
