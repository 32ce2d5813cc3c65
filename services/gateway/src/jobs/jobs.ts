import type { Principal } from '@voice-fleet/fleet/tenant';
import { type BlobStore, RECORDINGS } from '@voice-fleet/jobs/blobs/blob-store';
import type { JobRecord } from '@voice-fleet/jobs/job';
import { newJobId } from '@voice-fleet/jobs/job-id';
import type { JobQueue } from '@voice-fleet/jobs/job-queue';
import type { JobPage, JobSpec, JobStore } from '@voice-fleet/jobs/job-store';
import { VoiceError } from '@voice-fleet/protocol/errors';
import { JOB_IS_OVER, JOBS_PATH, type JobState } from '@voice-fleet/protocol/jobs';
import type { Clock } from '@voice-fleet/runtime/clock';
import type { Transcript } from '@voice-fleet/speech/transcript-formats';
import type { Logger } from '@voice-fleet/telemetry/logger';
import { traceparentIn } from '@voice-fleet/telemetry/tracing/traceparent';
import type { Tracer } from '@voice-fleet/telemetry/tracing/tracer';
import { codeOf } from '../admission-outcome.ts';
import type { ModelNames } from '../catalogue/model-catalogue.ts';
import type { RequestSlots } from '../http/request-slots.ts';
import type { DailyAudio } from '../usage/daily-audio.ts';
import { HTTP_PROTOCOL } from '../voice/transcriber.ts';
import type { JobUploadRequest } from './job-upload.ts';
import { badField, type RecordingIntake, type Wish } from './recording-intake.ts';

export interface JobsDeps {
  readonly clock: Clock;
  readonly store: JobStore;
  readonly queue: JobQueue;
  readonly blobs: BlobStore;
  readonly intake: RecordingIntake;
  /** Whether any are taken in. */
  readonly enabled: boolean;
  readonly slots: RequestSlots;
  readonly models: ModelNames;
  readonly dailyAudio: Pick<DailyAudio, 'expectLeft'>;
  readonly maxOfTenant: number;
  readonly maxOfAll: number;
  readonly onSubmitted: (outcome: 'created' | 'same' | 'refused') => void;
  readonly log: Logger;
  readonly tracer: Tracer;
}

export interface Submission {
  readonly request: JobUploadRequest;
  /** Of a request with a JSON body, which is read already. */
  readonly body: unknown;
  readonly idempotencyKey?: string | undefined;
  /** Aborts when the client goes. */
  readonly signal: AbortSignal;
}

export interface Submitted {
  readonly job: JobRecord;
  /** False: the same request made it before. */
  readonly made: boolean;
}

/** Visible ASCII. */
const REQUEST_NAME = /^[\x21-\x7e]{1,255}$/;
const NAME_KEPT_MS = 86_400_000;
const RETRY_S = 30;

/** Jobs of tenants, as the gateway takes them in and tells of them. Methods reject with VoiceError and RedisUnavailable. */
export class Jobs {
  readonly #deps: JobsDeps;

  constructor(deps: JobsDeps) {
    this.#deps = deps;
  }

  /** Keeps the recording and queues the job. */
  async submit(principal: Principal, submission: Submission): Promise<Submitted> {
    const { enabled, slots, dailyAudio, onSubmitted } = this.#deps;
    if (!enabled) throw new VoiceError('jobs_disabled');
    const { idempotencyKey: name } = submission;
    if (name !== undefined && !REQUEST_NAME.test(name))
      throw badField('Idempotency-Key', 'use 1 to 255 visible ASCII characters');
    await dailyAudio.expectLeft(principal);
    const slot = slots.enter(principal.tenantId);
    const span = this.#deps.tracer.start('accept', {
      kind: 'server',
      parent: traceparentIn(submission.request.headers),
      stranger: true,
      attributes: {
        protocol: HTTP_PROTOCOL,
        method: 'POST',
        path: JOBS_PATH,
        tenant: principal.tenantId,
      },
    });
    try {
      const signal = AbortSignal.any([submission.signal, slot.signal]);
      const submitted = await this.#submit(principal, submission, signal, span.traceparent);
      const outcome = submitted.made ? 'created' : 'same';
      onSubmitted(outcome);
      span.set({ job: submitted.job.id, outcome });
      span.end();
      return submitted;
    } catch (error) {
      onSubmitted('refused');
      span.set({ outcome: 'refused' });
      span.end(codeOf(error));
      throw error;
    } finally {
      slot.leave();
    }
  }

  /** Throws job_not_found for what is another tenant's, too. */
  async get(tenantId: string, id: string): Promise<JobRecord> {
    const job = await this.#deps.store.get(id);
    if (job?.tenantId !== tenantId) throw new VoiceError('job_not_found');
    return job;
  }

  /** The newest first. */
  list(
    tenantId: string,
    page: { readonly limit: number; readonly cursor?: string; readonly state?: JobState },
  ): Promise<JobPage> {
    return this.#deps.store.list(tenantId, page);
  }

  /** A job that is over stays as it is. */
  async cancel(tenantId: string, id: string): Promise<JobRecord> {
    const { store, queue, clock, log } = this.#deps;
    const job = await this.get(tenantId, id);
    if (JOB_IS_OVER[job.state]) return job;
    if (await store.end(job, 'cancelled', { nowMs: Math.floor(clock.wallNow()) })) {
      log.info({ event: 'job_cancelled', job: id });
      await queue.remove(job);
    }
    return await this.get(tenantId, id);
  }

  /** Cancels it where need be, and forgets its recording, result and record. Safe to ask for again. */
  async remove(tenantId: string, id: string): Promise<void> {
    const job = await this.cancel(tenantId, id);
    // Not the record first: without it nobody knew of the recording.
    const { blobs, store, log } = this.#deps;
    await blobs.remove(job.audioKey).catch((error: unknown) => {
      log.error({ event: 'recording_store_fault', err: error });
      throw new VoiceError('fleet_unavailable', {
        message:
          'The job is stopped, and its recording cannot be deleted right now. Try again shortly.',
        cause: error,
      });
    });
    await store.delete(job);
    log.info({ event: 'job_deleted', job: id });
  }

  /** Throws job_not_finished and job_without_result. */
  async result(tenantId: string, id: string): Promise<Transcript> {
    const job = await this.get(tenantId, id);
    if (!JOB_IS_OVER[job.state]) throw new VoiceError('job_not_finished');
    if (job.state !== 'completed')
      throw new VoiceError('job_without_result', { details: { state: job.state } });
    const segments = await this.#deps.store.segments(id);
    return {
      words: segments.flatMap(({ words }) => words),
      durationSamples: job.durationSamples ?? 0,
      language: job.options.language,
    };
  }

  async #submit(
    principal: Principal,
    { request, body, idempotencyKey: name }: Submission,
    signal: AbortSignal,
    traceparent: string | undefined,
  ): Promise<Submitted> {
    const { intake, store, models, clock } = this.#deps;
    const { tenantId } = principal;
    const createdAtMs = Math.floor(clock.wallNow());
    const id = newJobId(createdAtMs);
    const audioKey = `${RECORDINGS}/${id}`;
    try {
      const wish = await intake.read(request, body, audioKey, signal);
      const model = await models.resolve(wish.options.model, principal.models);
      const before = name === undefined ? undefined : await store.made(tenantId, name);
      if (before) return await this.#again(tenantId, before, wish.print, audioKey);
      await wish.fetch(signal);
      const { keyId, limits } = principal;
      const { options } = wish;
      const { weight } = limits;
      const served = model === undefined ? {} : { model };
      const trace = traceparent === undefined ? {} : { traceparent };
      const spec = {
        id,
        tenantId,
        keyId,
        options,
        ...served,
        audioKey,
        weight,
        createdAtMs,
        ...trace,
      };
      return await this.#create(spec, wish, name);
    } catch (error) {
      // Where it is not known whether there is a job, the recording stays; without one it is swept up later.
      if (error instanceof VoiceError) await this.#forget(audioKey);
      throw error;
    }
  }

  async #create(spec: JobSpec, wish: Wish, name: string | undefined): Promise<Submitted> {
    const { store, maxOfTenant: ofTenant, maxOfAll: ofAll, log } = this.#deps;
    const { id, tenantId, audioKey } = spec;
    const named =
      name === undefined ? undefined : { name, print: wish.print, keptMs: NAME_KEPT_MS };
    const creation = await store.create(spec, { ofTenant, ofAll }, named);
    switch (creation.kind) {
      case 'same':
        return await this.#again(
          tenantId,
          { ...creation, print: wish.print },
          wish.print,
          audioKey,
        );
      case 'conflict':
        throw new VoiceError('idempotency_conflict');
      case 'too_many':
        throw new VoiceError('too_many_jobs', {
          details: { max: ofTenant, retry_after_s: RETRY_S },
        });
      case 'full':
        throw new VoiceError('at_capacity', {
          message: 'As many jobs wait here as may. Try again later.',
          details: { retry_after_s: RETRY_S },
        });
      case 'created':
      case 'known':
        await this.#queue(spec);
        log.info({ event: 'job_created', job: id, tenant: tenantId });
        return { job: { ...spec, state: 'queued', doneSamples: 0, attempts: 0 }, made: true };
    }
  }

  /** The job is kept by now: one that does not get into the queue is put there by JobRequeue. */
  async #queue({ id, tenantId, options, model, weight }: JobSpec): Promise<void> {
    const { queue, store, log } = this.#deps;
    try {
      await queue.add({ id, tenantId, model, priority: options.priority, weight });
      await store.queued(id);
    } catch (error) {
      log.warn({ event: 'job_not_queued_yet', job: id, err: error });
    }
  }

  async #again(
    tenantId: string,
    before: { readonly id: string; readonly print: string },
    print: string,
    audioKey: string,
  ): Promise<Submitted> {
    if (before.print !== print) throw new VoiceError('idempotency_conflict');
    const job = await this.#deps.store.get(before.id);
    if (job?.tenantId !== tenantId) {
      throw new VoiceError('idempotency_conflict', {
        message: 'The job of this Idempotency-Key was deleted. Use a new key for a new job.',
      });
    }
    await this.#forget(audioKey);
    return { job, made: false };
  }

  /** What is left of it is swept up later, so this fails nothing. */
  async #forget(audioKey: string): Promise<void> {
    const { blobs, log } = this.#deps;
    await blobs.remove(audioKey).catch((error: unknown) => {
      log.warn({ event: 'recording_not_removed', err: error });
    });
  }
}
