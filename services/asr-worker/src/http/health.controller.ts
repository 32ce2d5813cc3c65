import { Controller, Get, Inject, Res } from '@nestjs/common';
import { WorkerHealth } from './worker-health.ts';

/** The part of an HTTP response used here. */
interface HttpResponse {
  status(code: number): { json(body: unknown): void };
}

@Controller()
export class HealthController {
  readonly #health: WorkerHealth;

  constructor(@Inject(WorkerHealth) health: WorkerHealth) {
    this.#health = health;
  }

  /** Whether this worker can take a session, and if not, why. */
  @Get(['/', '/healthz', '/readyz'])
  ready(@Res() response: HttpResponse): void {
    const readiness = this.#health.readiness();
    response.status(readiness.ready ? 200 : 503).json(readiness);
  }

  /** The same with load and errors, for people; always 200. */
  @Get('/model-status')
  modelStatus(@Res() response: HttpResponse): void {
    response.status(200).json(this.#health.modelStatus());
  }

  @Get('/capabilities')
  capabilities(@Res() response: HttpResponse): void {
    response.status(200).json({ engines: this.#health.capabilities() });
  }
}
