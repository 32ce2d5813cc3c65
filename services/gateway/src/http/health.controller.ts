import { Controller, Get, Inject, Res } from '@nestjs/common';
import { FleetHealth } from './fleet-health.ts';

/** The part of an HTTP response used here. */
interface HttpResponse {
  status(code: number): { json(body: unknown): void };
}

@Controller()
export class HealthController {
  readonly #health: FleetHealth;

  constructor(@Inject(FleetHealth) health: FleetHealth) {
    this.#health = health;
  }

  /** 503 until the fleet was ready for the first time, 200 from then on: restarting a gateway mends no missing worker. */
  @Get(['/', '/health', '/healthz'])
  async live(@Res() response: HttpResponse): Promise<void> {
    const live = await this.#health.everReady();
    if (live) response.status(200).json({ status: 'ok' });
    else response.status(503).json({ status: 'loading', reason: this.#health.lastReason });
  }

  /** Whether a session could be admitted now. */
  @Get('/readyz')
  async ready(@Res() response: HttpResponse): Promise<void> {
    const readiness = await this.#health.readiness();
    response
      .status(readiness.ready ? 200 : 503)
      .json({ status: readiness.ready ? 'ready' : 'not_ready', ...readiness });
  }
}
