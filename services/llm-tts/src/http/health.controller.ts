import { Controller, Get, Inject, Res } from '@nestjs/common';
import { ServiceHealth } from './service-health.ts';

/** The part of an HTTP response used here. */
interface HttpResponse {
  status(code: number): { json(body: unknown): void };
}

@Controller()
export class HealthController {
  readonly #health: ServiceHealth;

  constructor(@Inject(ServiceHealth) health: ServiceHealth) {
    this.#health = health;
  }

  /** Whether it takes turns, and who answers and speaks them. */
  @Get(['/', '/healthz', '/readyz'])
  ready(@Res() response: HttpResponse): void {
    const readiness = this.#health.readiness();
    response.status(readiness.ready ? 200 : 503).json(readiness);
  }
}
