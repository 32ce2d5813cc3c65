import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import { text } from 'node:stream/consumers';
import { tenantSecret, verifyWebhook } from '@voice-fleet/jobs/webhooks/signature';
import { WebhookEvent } from '@voice-fleet/protocol/webhooks';

/** Of the fleet, as its gateways are given it. */
export const WEBHOOK_SECRET = 'chaos-webhook-secret';
const TENANT = 'default';

/** Somebody who is told of jobs, and does not always answer the first time. */
export class WebhookReceiver implements AsyncDisposable {
  readonly #server: Server;
  /** How often each job was told of and that acknowledged. */
  readonly acknowledged = new Map<string, number>();
  readonly #refused = new Set<string>();
  /** Attempts that were not signed as they must be. */
  forged = 0;

  private constructor(port: number, refuseOneIn: number) {
    let came = 0;
    const answer = async (request: IncomingMessage, response: ServerResponse): Promise<unknown> => {
      const body = await text(request);
      const secrets = [tenantSecret(WEBHOOK_SECRET, TENANT)];
      if (verifyWebhook({ headers: request.headers, body }, secrets) !== 'valid') {
        this.forged += 1;
        return response.writeHead(400).end();
      }
      const { id } = WebhookEvent.parse(JSON.parse(body)).data;
      came += 1;
      if (refuseOneIn > 0 && came % refuseOneIn === 0 && !this.#refused.has(id)) {
        this.#refused.add(id);
        return request.socket.destroy();
      }
      this.acknowledged.set(id, (this.acknowledged.get(id) ?? 0) + 1);
      return response.end();
    };
    this.#server = createServer((request, response) => {
      answer(request, response).catch(() => response.destroy());
    });
    this.#server.listen(port, '127.0.0.1');
  }

  /** `refuseOneIn`: of so many attempts one is cut off, each job's first at the most; 0: none is. */
  static async open(port: number, refuseOneIn: number): Promise<WebhookReceiver> {
    const receiver = new WebhookReceiver(port, refuseOneIn);
    await new Promise((resolve) => receiver.#server.once('listening', resolve));
    return receiver;
  }

  get refused(): number {
    return this.#refused.size;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#server.closeAllConnections();
    await new Promise((resolve) => this.#server.close(resolve));
  }
}
