import { Controller, Get, Inject, Res } from '@nestjs/common';
import { FleetHealth } from './fleet-health.ts';

/** The part of an HTTP response used here. */
interface HttpResponse {
  status(code: number): { json(body: unknown): void };
}

/** Counts the sessions of this process that are admitted and not over. A class, so that Nest can hand it over by type. */
export abstract class OpenSessions {
  abstract count(): Promise<number>;
}

@Controller()
export class HealthController {
  readonly #health: FleetHealth;
  readonly #sessions: OpenSessions;

  constructor(
    @Inject(FleetHealth) health: FleetHealth,
    @Inject(OpenSessions) sessions: OpenSessions,
  ) {
    this.#health = health;
    this.#sessions = sessions;
  }

  /** 503 until the fleet was ready for the first time, 200 from then on: restarting a gateway mends no missing worker. */
  @Get(['/', '/healthz'])
  live(@Res() response: HttpResponse): Promise<void> {
    return this.#answer(response, async () => ({}));
  }

  /** The same, and how many sessions are open here. */
  @Get('/health')
  health(@Res() response: HttpResponse): Promise<void> {
    return this.#answer(response, async () => ({ active_sessions: await this.#sessions.count() }));
  }

  /** Whether a session could be admitted now. */
  @Get('/readyz')
  async ready(@Res() response: HttpResponse): Promise<void> {
    const readiness = await this.#health.readiness();
    response
      .status(readiness.ready ? 200 : 503)
      .json({ status: readiness.ready ? 'ready' : 'not_ready', ...readiness });
  }

  async #answer(response: HttpResponse, facts: () => Promise<object>): Promise<void> {
    const live = await this.#health.everReady();
    if (live) response.status(200).json({ status: 'ok', ...(await facts()) });
    else response.status(503).json({ status: 'loading', reason: this.#health.lastReason });
  }
}
