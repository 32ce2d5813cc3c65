import { createHash } from 'node:crypto';
import type { BlobStore, PutBlob } from '@voice-fleet/jobs/blobs/blob-store';
import { JobOptions } from '@voice-fleet/jobs/job';
import { guardedFetch, type UrlGuard } from '@voice-fleet/jobs/url-guard';
import { VoiceError } from '@voice-fleet/protocol/errors';
import type { Clock } from '@voice-fleet/runtime/clock';
import { z } from 'zod';
import { type JobUploadRequest, streamForm } from './job-upload.ts';

export interface IntakeDeps {
  readonly clock: Clock;
  readonly blobs: BlobStore;
  readonly maxBytes: number;
  readonly urlTimeoutMs: number;
  /** Of recordings that are fetched. */
  readonly urls: UrlGuard;
  readonly webhooks: UrlGuard;
  /** The store does not take recordings. */
  readonly onStoreFault: (error: unknown) => void;
}

/** A request for a job that is understood; its recording may still have to be fetched. */
export interface Wish {
  readonly options: JobOptions;
  /** The same for two requests that want the same. */
  readonly print: string;
  /** Keeps the recording, unless that is done already. Rejects with VoiceError. */
  readonly fetch: (signal: AbortSignal) => Promise<void>;
}

/** As much as a field of a form may have; all of it is kept with the job. */
const METADATA_MAX_BYTES = 8192;

/** What a form or a JSON body says of a job, under its outside names. */
export const JobWishes = z.strictObject({
  model: JobOptions.shape.model,
  language: JobOptions.shape.language,
  priority: JobOptions.shape.priority,
  webhook_url: JobOptions.shape.webhookUrl,
  metadata: JobOptions.shape.metadata.refine(
    (metadata = {}) => Buffer.byteLength(JSON.stringify(metadata)) <= METADATA_MAX_BYTES,
    `has more than ${METADATA_MAX_BYTES} bytes of JSON`,
  ),
});
export const JobUrl = z.string().min(1).max(4000);

/** Reads requests for jobs, and puts their recordings under `audioKey`. */
export class RecordingIntake {
  readonly #deps: IntakeDeps;

  constructor(deps: IntakeDeps) {
    this.#deps = deps;
  }

  /** `body` is that of a JSON request. Rejects with VoiceError; what was put by then stays. */
  async read(
    request: JobUploadRequest,
    body: unknown,
    audioKey: string,
    signal: AbortSignal,
  ): Promise<Wish> {
    const type = request.headers['content-type'] ?? '';
    if (/^multipart\/form-data\b/i.test(type)) {
      const { kept, fields } = await streamForm(request, signal, (file, broken) =>
        this.#keep(audioKey, file, broken),
      );
      const options = this.#options(fromForm(fields));
      return { options, print: printOf(kept.sha256, options), fetch: async () => undefined };
    }
    if (!/^application\/json\b/i.test(type)) {
      throw new VoiceError('unsupported_media_type', {
        message: 'Send multipart/form-data with a part `file`, or JSON with a `url`.',
      });
    }
    const { url, ...rest } = objectOf(body);
    const given = JobUrl.safeParse(url);
    if (!given.success) throw badField('url', 'name the recording');
    const options = this.#options(rest);
    this.#deps.urls.look(given.data);
    // What is behind a URL may change, the wish to have it transcribed does not.
    const print = printOf(given.data, options);
    return { options, print, fetch: (stop) => this.#fetch(given.data, audioKey, stop) };
  }

  async #fetch(url: string, audioKey: string, signal: AbortSignal): Promise<void> {
    const { urls, clock, urlTimeoutMs } = this.#deps;
    const late = new AbortController();
    const timer = clock.after(urlTimeoutMs, () => late.abort());
    const either = AbortSignal.any([signal, late.signal]);
    try {
      const response = await guardedFetch(urls, url, either);
      try {
        await this.#keep(audioKey, unbroken(response), either);
      } finally {
        response.destroy();
      }
    } catch (error) {
      if (signal.aborted) throw new VoiceError('cancelled', { cause: error });
      if (late.signal.aborted) {
        const message = `The recording was not read from the URL within ${urlTimeoutMs / 1000} s.`;
        throw new VoiceError('url_failed', { message, cause: error });
      }
      throw error;
    } finally {
      timer.cancel();
    }
  }

  async #keep(
    audioKey: string,
    source: AsyncIterable<Uint8Array>,
    signal: AbortSignal,
  ): Promise<PutBlob> {
    const { blobs, maxBytes, onStoreFault } = this.#deps;
    const kept = await blobs.put(audioKey, source, { maxBytes, signal }).catch((error: unknown) => {
      if (error instanceof VoiceError || signal.aborted) throw error;
      onStoreFault(error);
      throw new VoiceError('fleet_unavailable', {
        message: 'The recording cannot be kept right now. Try again shortly.',
        cause: error,
      });
    });
    if (kept.bytes === 0)
      throw new VoiceError('missing_audio', { message: 'The recording is empty.' });
    return kept;
  }

  #options(given: unknown): JobOptions {
    const { success, data, error } = JobWishes.safeParse(given);
    if (!success) {
      const [issue] = error.issues;
      throw badField(issue?.path.join('.') || 'body', issue?.message ?? 'not valid');
    }
    const { webhook_url: webhookUrl, ...rest } = data;
    if (webhookUrl === undefined) return rest;
    if (!this.#deps.webhooks.open)
      throw badField('webhook_url', 'there are no webhooks here; ask the operator');
    this.#deps.webhooks.look(webhookUrl);
    return { ...rest, webhookUrl };
  }
}

/** Throws VoiceError url_failed where it breaks off. */
async function* unbroken(source: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array> {
  try {
    yield* source;
  } catch (error) {
    const message = 'The recording broke off while it was read from the URL.';
    throw new VoiceError('url_failed', { message, cause: error });
  }
}

/** Values of a form are text; metadata is JSON in it. */
function fromForm(fields: ReadonlyMap<string, string>): Record<string, unknown> {
  const given: Record<string, unknown> = Object.fromEntries(fields);
  const metadata = fields.get('metadata');
  if (metadata === undefined) return given;
  try {
    return { ...given, metadata: JSON.parse(metadata) as unknown };
  } catch {
    throw badField('metadata', 'must be a JSON object');
  }
}

function objectOf(body: unknown): Record<string, unknown> {
  if (typeof body === 'object' && body !== null && !Array.isArray(body))
    return body as Record<string, unknown>;
  throw badField('body', 'must be a JSON object');
}

function printOf(recording: string, options: JobOptions): string {
  const { metadata = {}, ...rest } = options;
  const inOrder = [rest, metadata].map((part) =>
    Object.entries(part).sort(([one], [other]) => (one < other ? -1 : 1)),
  );
  return createHash('sha256')
    .update(JSON.stringify([recording, inOrder]))
    .digest('base64url');
}

export function badField(field: string, reason: string): VoiceError {
  return new VoiceError('invalid_message', {
    message: `${field}: ${reason}.`,
    details: { parameter: field },
  });
}
