import { constants, openAsBlob } from 'node:fs';
import { access, stat } from 'node:fs/promises';
import { basename } from 'node:path';
import { JOBS_PATH, JobList, JobView } from '@voice-fleet/protocol/jobs';
import { z } from 'zod';

/** The server refused a request for a job. */
export class JobRefused extends Error {
  override readonly name = 'JobRefused';
  readonly status: number;
  readonly code: string;

  constructor(status: number, code: string, message: string) {
    super(message);
    this.status = status;
    this.code = code;
  }
}

/** The server could not be asked; `cause` says why. */
export class JobsUnreachable extends Error {
  override readonly name = 'JobsUnreachable';
}

export interface JobsClientOptions {
  /** Of the gateway, with http or https; its path is not used. */
  readonly url: URL;
  readonly apiKey: string | undefined;
  readonly signal: AbortSignal;
}

export interface JobRequest {
  /** A path, or a URL that begins with http:// or https://. */
  readonly recording: string;
  /** Under their outside names. */
  readonly fields: Readonly<Record<string, string>>;
  readonly metadata: Readonly<Record<string, string>>;
  readonly idempotencyKey?: string | undefined;
}

const Refusal = z.object({ error: z.object({ code: z.string().nullish(), message: z.string() }) });

/** Batch jobs of a gateway. Methods reject with JobRefused, JobsUnreachable, or the signal's reason. */
export class JobsClient {
  readonly #options: JobsClientOptions;

  constructor(options: JobsClientOptions) {
    this.#options = options;
  }

  async submit({ recording, fields, metadata, idempotencyKey }: JobRequest): Promise<JobView> {
    const headers = idempotencyKey === undefined ? {} : { 'Idempotency-Key': idempotencyKey };
    if (/^https?:\/\//i.test(recording)) {
      return JobView.parse(
        await this.#json('', {
          method: 'POST',
          headers: { ...headers, 'Content-Type': 'application/json' },
          body: JSON.stringify({ url: recording, ...fields, metadata }),
        }),
      );
    }
    // What cannot be read is told by its name only here.
    await access(recording, constants.R_OK);
    if (!(await stat(recording)).isFile()) throw new Error(`${recording} is no file.`);
    const body = new FormData();
    for (const [name, value] of Object.entries(fields)) body.set(name, value);
    body.set('metadata', JSON.stringify(metadata));
    body.set('file', await openAsBlob(recording), basename(recording));
    return JobView.parse(await this.#json('', { method: 'POST', headers, body }));
  }

  async get(id: string): Promise<JobView> {
    return JobView.parse(await this.#json(`/${encodeURIComponent(id)}`));
  }

  async list(query: Readonly<Record<string, string>>): Promise<JobList> {
    return JobList.parse(await this.#json(`?${new URLSearchParams(query)}`));
  }

  /** As text, of whatever format. */
  async result(id: string, format: string): Promise<string> {
    const query = new URLSearchParams({ format });
    return await (await this.#ask(`/${encodeURIComponent(id)}/result?${query}`)).text();
  }

  async cancel(id: string): Promise<JobView> {
    const path = `/${encodeURIComponent(id)}/cancel`;
    return JobView.parse(await this.#json(path, { method: 'POST' }));
  }

  async delete(id: string): Promise<void> {
    await this.#ask(`/${encodeURIComponent(id)}`, { method: 'DELETE' });
  }

  async #json(path: string, init?: RequestInit): Promise<unknown> {
    return await (await this.#ask(path, init)).json();
  }

  async #ask(path: string, init: RequestInit = {}): Promise<Response> {
    const { url, apiKey, signal } = this.#options;
    const key = apiKey ? { Authorization: `Bearer ${apiKey}` } : {};
    const headers = { ...key, ...(init.headers as Record<string, string>) };
    let response: Response;
    try {
      response = await fetch(new URL(`${JOBS_PATH}${path}`, url.origin), {
        ...init,
        headers,
        signal,
      });
    } catch (error) {
      signal.throwIfAborted();
      // fetch says "fetch failed" alone.
      const { cause = error } = error as { cause?: unknown };
      const { message = 'no answer' } = cause as { message?: string };
      throw new JobsUnreachable(message, { cause });
    }
    if (response.ok) return response;
    const refusal = Refusal.safeParse(await response.json().catch(() => undefined));
    const { code, message = `The server answered HTTP ${response.status}.` } =
      refusal.data?.error ?? {};
    throw new JobRefused(response.status, code ?? String(response.status), message);
  }
}
