import type { IncomingHttpHeaders } from 'node:http';
import { Controller, Get, Header, Headers, HttpCode, Inject, Param, Post } from '@nestjs/common';
import type { JobRecord } from '@voice-fleet/jobs/job';
import { webhookEventId } from '@voice-fleet/jobs/webhooks/webhook-event';
import type { WebhookStore } from '@voice-fleet/jobs/webhooks/webhook-store';
import { VoiceError } from '@voice-fleet/protocol/errors';
import type { WebhookSecrets, WebhookView } from '@voice-fleet/protocol/webhooks';
import { credentialOf } from '../auth/credentials.ts';
import type { Authenticate } from '../http/usage.controller.ts';
import type { Jobs } from '../jobs/jobs.ts';

/** What the endpoints for webhooks are made from. A class, so that Nest can hand it over by type. */
export abstract class WebhooksSource {
  abstract readonly authenticate: Authenticate;
  abstract readonly jobs: Pick<Jobs, 'get'>;
  abstract readonly webhooks: Pick<WebhookStore, 'state' | 'redeliver'>;
  /** Those that sign what this tenant is told, the newest first. */
  abstract secretsOf(tenantId: string): readonly string[];
}

/** What became of the webhooks of jobs; see docs/webhooks.md. */
@Controller('/v1')
export class WebhooksController {
  readonly #source: WebhooksSource;

  constructor(@Inject(WebhooksSource) source: WebhooksSource) {
    this.#source = source;
  }

  @Get('jobs/:id/webhook')
  @Header('Cache-Control', 'no-store')
  async state(
    @Headers() headers: IncomingHttpHeaders,
    @Param('id') id: string,
  ): Promise<WebhookView> {
    return await this.#view(await this.#job(headers, id));
  }

  @Post('jobs/:id/webhook/redeliver')
  @HttpCode(202)
  @Header('Cache-Control', 'no-store')
  async redeliver(
    @Headers() headers: IncomingHttpHeaders,
    @Param('id') id: string,
  ): Promise<WebhookView> {
    const job = await this.#job(headers, id);
    const answer = await this.#source.webhooks.redeliver(id);
    if (answer !== 'asked')
      throw new VoiceError('webhook_not_given_up', { details: { state: answer } });
    return await this.#view(job);
  }

  /** For servers alone: no client token has the scope `tokens`. */
  @Get('webhooks/secrets')
  @Header('Cache-Control', 'no-store')
  async secrets(@Headers() headers: IncomingHttpHeaders): Promise<WebhookSecrets> {
    const { tenantId } = await this.#source.authenticate(credentialOf(headers), 'tokens');
    return { object: 'list', data: [...this.#source.secretsOf(tenantId)] };
  }

  async #job(
    headers: IncomingHttpHeaders,
    id: string,
  ): Promise<{ readonly id: string; readonly url: string }> {
    const { tenantId } = await this.#source.authenticate(credentialOf(headers), 'jobs');
    const job: JobRecord = await this.#source.jobs.get(tenantId, id);
    const { webhookUrl: url } = job.options;
    if (url === undefined) throw new VoiceError('webhook_not_found');
    return { id, url };
  }

  async #view(job: { readonly id: string; readonly url: string }): Promise<WebhookView> {
    const state = await this.#source.webhooks.state(job.id);
    return {
      object: 'webhook',
      id: webhookEventId(job.id),
      job: job.id,
      url: job.url,
      state: state.state,
      attempts: state.attempts,
      acknowledged_at_ms: state.acknowledgedAtMs ?? null,
      next_attempt_at_ms: state.dueAtMs ?? null,
      deliveries: state.deliveries.map(({ atMs, ms, status, fault, outcome }) => ({
        at_ms: atMs,
        ms,
        status: status ?? null,
        fault: fault ?? null,
        outcome,
      })),
    };
  }
}
