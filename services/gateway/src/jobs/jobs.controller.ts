import type { IncomingHttpHeaders, ServerResponse } from 'node:http';
import {
  Body,
  Controller,
  Delete,
  Get,
  Header,
  Headers,
  HttpCode,
  Inject,
  Param,
  Post,
  Query,
  Req,
  Res,
} from '@nestjs/common';
import { VoiceError } from '@voice-fleet/protocol/errors';
import { JOBS_PATH, type JobList, JobState, type JobView } from '@voice-fleet/protocol/jobs';
import { formatTranscript, TRANSCRIPT_FORMATS } from '@voice-fleet/speech/transcript-formats';
import { z } from 'zod';
import { credentialOf } from '../auth/credentials.ts';
import type { Authenticate } from '../http/usage.controller.ts';
import type { JobUploadRequest } from './job-upload.ts';
import { jobView } from './job-view.ts';
import type { Jobs } from './jobs.ts';

/** What the endpoints for jobs are made from. A class, so that Nest can hand it over by type. */
export abstract class JobsSource {
  abstract readonly authenticate: Authenticate;
  abstract readonly jobs: Pick<Jobs, 'submit' | 'get' | 'list' | 'cancel' | 'remove' | 'result'>;
}

export const ListQuery = z.object({
  limit: z.coerce.number().int().min(1).max(100).default(20),
  cursor: z
    .string()
    .regex(/^job_[0-9a-z]{1,64}$/, 'use the next_cursor of the page before')
    .optional(),
  state: JobState.optional(),
});
export const ResultQuery = z.object({ format: z.enum(TRANSCRIPT_FORMATS).default('json') });

/** Recordings that are transcribed when a slot is idle; see docs/http.md. */
@Controller(JOBS_PATH)
export class JobsController {
  readonly #source: JobsSource;

  constructor(@Inject(JobsSource) source: JobsSource) {
    this.#source = source;
  }

  @Post()
  @Header('Cache-Control', 'no-store')
  async submit(
    @Headers() headers: IncomingHttpHeaders,
    @Body() body: unknown,
    @Req() request: JobUploadRequest,
    @Res({ passthrough: true }) response: ServerResponse,
  ): Promise<JobView> {
    const { authenticate, jobs } = this.#source;
    const gone = new AbortController();
    if (response.destroyed) gone.abort();
    response.once('close', () => gone.abort());
    const principal = await authenticate(credentialOf(headers), 'jobs');
    const name = headers['idempotency-key'];
    const idempotencyKey = Array.isArray(name) ? name[0] : name;
    const { job, made } = await jobs.submit(principal, {
      request,
      body,
      idempotencyKey,
      signal: gone.signal,
    });
    response.statusCode = made ? 202 : 200;
    return jobView(job);
  }

  @Get()
  @Header('Cache-Control', 'no-store')
  async list(@Headers() headers: IncomingHttpHeaders, @Query() query: unknown): Promise<JobList> {
    const tenantId = await this.#tenant(headers);
    const { limit, cursor, state } = parsed(ListQuery, query);
    const page = await this.#source.jobs.list(tenantId, {
      limit,
      ...(cursor !== undefined && { cursor }),
      ...(state !== undefined && { state }),
    });
    return {
      object: 'list',
      data: page.jobs.map(jobView),
      next_cursor: page.cursor ?? null,
    };
  }

  @Get(':id')
  @Header('Cache-Control', 'no-store')
  async get(@Headers() headers: IncomingHttpHeaders, @Param('id') id: string): Promise<JobView> {
    return jobView(await this.#source.jobs.get(await this.#tenant(headers), id));
  }

  @Get(':id/result')
  @Header('Cache-Control', 'no-store')
  async result(
    @Headers() headers: IncomingHttpHeaders,
    @Param('id') id: string,
    @Query() query: unknown,
    @Res() response: ServerResponse,
  ): Promise<void> {
    const tenantId = await this.#tenant(headers);
    const { format } = parsed(ResultQuery, query);
    const transcript = await this.#source.jobs.result(tenantId, id);
    const { contentType, body } = formatTranscript(transcript, format);
    response.setHeader('Content-Type', contentType);
    response.end(body);
  }

  @Post(':id/cancel')
  @HttpCode(200)
  @Header('Cache-Control', 'no-store')
  async cancel(@Headers() headers: IncomingHttpHeaders, @Param('id') id: string): Promise<JobView> {
    return jobView(await this.#source.jobs.cancel(await this.#tenant(headers), id));
  }

  @Delete(':id')
  @HttpCode(204)
  async remove(@Headers() headers: IncomingHttpHeaders, @Param('id') id: string): Promise<void> {
    await this.#source.jobs.remove(await this.#tenant(headers), id);
  }

  async #tenant(headers: IncomingHttpHeaders): Promise<string> {
    return (await this.#source.authenticate(credentialOf(headers), 'jobs')).tenantId;
  }
}

function parsed<T>(schema: z.ZodType<T>, query: unknown): T {
  const result = schema.safeParse(query);
  if (result.success) return result.data;
  const [issue] = result.error.issues;
  const parameter = issue?.path.join('.') ?? '';
  throw new VoiceError('invalid_message', {
    message: `${parameter}: ${issue?.message ?? 'not valid'}.`,
    details: { parameter },
  });
}
