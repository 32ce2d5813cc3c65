import type { IncomingHttpHeaders } from 'node:http';
import type { Readable } from 'node:stream';
import { Busboy } from '@fastify/busboy';
import { VoiceError } from '@voice-fleet/protocol/errors';

/** The request, as far as it is read here. */
export interface UploadRequest extends Readable {
  readonly headers: IncomingHttpHeaders;
}

/** Name of the form's part that holds the recording. */
const FILE_PART = 'file';
const MULTIPART = /^multipart\/form-data\b/i;
/** Whatever may be a recording. curl calls all that it is not told of a form. */
const RAW = /^(?:audio\/|video\/|application\/(?:octet-stream|ogg|x-www-form-urlencoded)\b)/i;
/** Each value of a list is a part of its own. */
const MAX_PARTS = 1_024;
/** Of a part, with its boundary. */
const PART_HEAD_BYTES = 1_024;
/** Encodings of a body as it is. */
const PLAIN = /^(?:identity)?$/i;
/** For the other parts of a form. A longer value is cut off. */
const FORM_LIMITS = { fieldSize: 4096, parts: MAX_PARTS, headerPairs: 32 };

/** What a request brings. */
export interface Upload {
  readonly bytes: Buffer;
  /** The other parts of its form, by name, each with all its values. */
  readonly fields: ReadonlyMap<string, readonly string[]>;
}

/**
 * The recording in a request: part `file` of a form, or the body itself. Rejects with VoiceError: message_too_large,
 * unsupported_media_type, missing_audio or invalid_message; `cancelled` when the client goes.
 */
export async function readUpload(
  request: UploadRequest,
  maxBytes: number,
  signal: AbortSignal,
): Promise<Upload> {
  const fields = new Map<string, string[]>();
  const type = request.headers['content-type'] ?? '';
  try {
    if (!PLAIN.test(request.headers['content-encoding'] ?? ''))
      throw new VoiceError('unsupported_media_type', {
        message: 'The body is not unpacked here. Send it without Content-Encoding.',
      });
    const bytes = MULTIPART.test(type)
      ? await readForm(request, maxBytes, fields, signal)
      : await readBody(request, type, maxBytes, signal);
    if (bytes.length === 0)
      throw new VoiceError('missing_audio', { message: 'The recording is empty.' });
    return { bytes, fields };
  } finally {
    // What is left is let go, so that the client gets to read its answer. What nobody began to read, Node lets go behind that.
    if (request.readableFlowing !== null) request.resume();
  }
}

async function readBody(
  request: UploadRequest,
  type: string,
  maxBytes: number,
  signal: AbortSignal,
): Promise<Buffer> {
  if (type !== '' && !RAW.test(type)) {
    throw new VoiceError('unsupported_media_type', {
      message: `The body must be a recording, as audio/wav or as part \`${FILE_PART}\` of multipart/form-data.`,
    });
  }
  if (Number(request.headers['content-length'] ?? 0) > maxBytes) throw tooLarge(maxBytes);
  const pieces = new Pieces(maxBytes);
  await consume(request, signal, (settle) => {
    request.on('data', (piece: Buffer) => {
      if (!pieces.add(piece)) settle(tooLarge(maxBytes));
    });
    request.once('end', () => settle());
  });
  return pieces.joined();
}

async function readForm(
  request: UploadRequest,
  maxBytes: number,
  fields: Map<string, string[]>,
  signal: AbortSignal,
): Promise<Buffer> {
  // Not even when all its fields are as long as they may be.
  const formBytes = maxBytes + MAX_PARTS * (FORM_LIMITS.fieldSize + PART_HEAD_BYTES);
  if (Number(request.headers['content-length'] ?? 0) > formBytes) throw tooLarge(maxBytes);
  const pieces = new Pieces(maxBytes);
  let found = false;
  const { headers } = request;
  const contentType = headers['content-type'] ?? '';
  const limits = { ...FORM_LIMITS, fileSize: maxBytes };
  const form = openForm({
    headers: { ...headers, 'content-type': contentType },
    limits,
    // Some clients give the recording no name.
    isPartAFile: (name, _type, fileName) => fileName !== undefined || name === FILE_PART,
  });
  await consume(request, signal, (settle) => {
    form.on('file', (name, file) => {
      file.on('error', () => settle(badForm()));
      if (name !== FILE_PART) return file.resume();
      if (found) return settle(badForm(`The form has more than one part \`${FILE_PART}\`.`));
      found = true;
      file.on('data', (piece: Buffer) => void pieces.add(piece));
      file.on('limit', () => settle(tooLarge(maxBytes)));
      return undefined;
    });
    form.on('field', (name, value) => {
      const values = fields.get(name);
      if (values) values.push(value);
      else fields.set(name, [value]);
    });
    // The form may not come to its end behind what it lets go.
    form.on('partsLimit', () => settle(badForm(`The form has more than ${MAX_PARTS} parts.`)));
    form.on('error', () => settle(badForm()));
    form.on('finish', () => settle());
    request.pipe(form);
  }).finally(() => request.unpipe(form));
  if (!found) {
    throw new VoiceError('missing_audio', {
      message: `The form has no part \`${FILE_PART}\` with a file.`,
    });
  }
  return pieces.joined();
}

function openForm(options: ConstructorParameters<typeof Busboy>[0]): InstanceType<typeof Busboy> {
  try {
    return new Busboy(options);
  } catch {
    // A form without a boundary.
    throw badForm();
  }
}

/** Settles as `read` says, or when the client or the request is gone. */
function consume(
  request: UploadRequest,
  signal: AbortSignal,
  read: (settle: (error?: VoiceError) => void) => void,
): Promise<void> {
  return new Promise<void>((resolve, reject) => {
    const settle = (error?: VoiceError): void => {
      signal.removeEventListener('abort', gone);
      request.removeListener('error', gone);
      if (error) reject(error);
      else resolve();
    };
    const gone = (): void => settle(new VoiceError('cancelled'));
    if (signal.aborted) return gone();
    signal.addEventListener('abort', gone, { once: true });
    request.once('error', gone);
    read(settle);
  });
}

/** What came so far, up to a limit. */
class Pieces {
  readonly #maxBytes: number;
  #pieces: Buffer[] = [];
  #bytes = 0;

  constructor(maxBytes: number) {
    this.#maxBytes = maxBytes;
  }

  /** False: it is too much, and nothing is kept any more. */
  add(piece: Buffer): boolean {
    this.#bytes += piece.length;
    if (this.#bytes <= this.#maxBytes) this.#pieces.push(piece);
    else this.#pieces = [];
    return this.#bytes <= this.#maxBytes;
  }

  joined(): Buffer {
    return Buffer.concat(this.#pieces);
  }
}

function badForm(message = 'The form is not valid multipart/form-data.'): VoiceError {
  return new VoiceError('invalid_message', { message });
}

function tooLarge(maxBytes: number): VoiceError {
  return new VoiceError('message_too_large', {
    message: `The recording has more than ${maxBytes} bytes. Send a shorter one.`,
    details: { max_bytes: maxBytes },
  });
}
