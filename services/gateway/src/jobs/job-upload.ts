import type { IncomingHttpHeaders } from 'node:http';
import { PassThrough, type Readable } from 'node:stream';
import { Busboy } from '@fastify/busboy';
import { VoiceError } from '@voice-fleet/protocol/errors';

/** The request, as far as it is read here. */
export interface JobUploadRequest extends Readable {
  readonly headers: IncomingHttpHeaders;
}

const LIMITS = { files: 1, fields: 32, fieldSize: 8192, parts: 33, headerPairs: 32 };

/**
 * Gives the file of a form to `keep` as it comes, and resolves with what that resolves with and the form's fields, before or behind
 * the file. Rejects with VoiceError invalid_message, missing_audio or `cancelled`, or as `keep` does.
 */
export async function streamForm<T>(
  request: JobUploadRequest,
  signal: AbortSignal,
  keep: (file: AsyncIterable<Uint8Array>, signal: AbortSignal) => Promise<T>,
): Promise<{ kept: T; fields: ReadonlyMap<string, string> }> {
  const fields = new Map<string, string>();
  const broken = new AbortController();
  const form = openForm(request.headers);
  let keeping: Promise<T> | undefined;
  const body = new PassThrough();
  const over = new Promise<void>((resolve, reject) => {
    const fail = (error: VoiceError): void => {
      broken.abort(error);
      reject(error);
    };
    const gone = (): void => fail(new VoiceError('cancelled'));
    if (signal.aborted) return gone();
    signal.addEventListener('abort', gone, { once: true });
    request.once('error', gone).once('aborted', gone);
    form.on('file', (name, file) => {
      file.on('error', () => fail(badForm()));
      if (name !== 'file' || keeping) return void file.resume();
      file.pipe(body);
      keeping = keep(body, broken.signal);
      // What cannot be kept ends the reading: a store that is full would stop it for ever.
      keeping.catch(reject);
    });
    form.on('field', (name, value, _nameCut, valueCut) => {
      if (valueCut) fail(new VoiceError('invalid_message', { message: `${name}: is too long.` }));
      fields.set(name, value);
    });
    // The form may not come to its end behind what it lets go.
    form.on('filesLimit', () => fail(badForm('The form has more than one file.')));
    for (const limit of ['fieldsLimit', 'partsLimit'] as const)
      form.on(limit, () => fail(badForm('The form has too many fields.')));
    form.on('error', () => fail(badForm()));
    form.on('finish', resolve);
    request.pipe(form);
  });
  try {
    await over;
    if (!keeping) {
      throw new VoiceError('missing_audio', {
        message: 'The form has no part `file` with a file.',
      });
    }
    return { kept: await keeping, fields };
  } catch (error) {
    broken.abort(error);
    body.destroy();
    await keeping?.catch(() => undefined);
    throw error;
  } finally {
    request.unpipe(form);
    // What is left is let go, so that the client gets to read its answer.
    request.resume();
  }
}

function openForm(headers: IncomingHttpHeaders): InstanceType<typeof Busboy> {
  try {
    const contentType = headers['content-type'] ?? '';
    return new Busboy({ headers: { ...headers, 'content-type': contentType }, limits: LIMITS });
  } catch {
    throw badForm();
  }
}

function badForm(message = 'The form is not valid multipart/form-data.'): VoiceError {
  return new VoiceError('invalid_message', { message });
}
