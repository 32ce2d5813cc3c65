import type { IncomingMessage } from 'node:http';
import { Busboy, type BusboyFileStream, type BusboyInstance } from '@fastify/busboy';
import { ReplyOptions } from '@voice-fleet/protocol/chunk';
import { VoiceError } from '@voice-fleet/protocol/errors';
import { z } from 'zod';

/** What was posted. */
export interface ChatForm {
  readonly file: Buffer;
  readonly options: ReplyOptions;
  /** Undefined: the form does not say. */
  readonly stream: boolean | undefined;
}

const FILE = 'file';
const VALUE_BYTES_MAX = 100;

const Fields = ReplyOptions.extend({
  stream: z
    .enum(['true', 'false', '1', '0'])
    .transform((value) => value === 'true' || value === '1')
    .optional(),
}).strict();

/**
 * Reads a multipart form as it comes; nothing is kept but the file and the fields. Throws VoiceError unsupported_media_type, invalid_message, missing_audio or
 * message_too_large, the last before the rest has come.
 */
export async function readChatForm(
  request: IncomingMessage,
  maxFileBytes: number,
): Promise<ChatForm> {
  const { fields, file } = await readParts(
    request,
    openParser(request, maxFileBytes),
    maxFileBytes,
  );
  const parsed = Fields.safeParse(Object.fromEntries(fields));
  if (!parsed.success) throw badFields(parsed.error);
  if (file === undefined)
    throw new VoiceError('missing_audio', {
      message: `The form has no ${FILE}: send a WAV in it.`,
    });
  const { stream, ...options } = parsed.data;
  return { file, options, stream };
}

interface Parts {
  /** Blank ones are left out, so that their defaults hold. */
  readonly fields: ReadonlyMap<string, string>;
  readonly file: Buffer | undefined;
}

function openParser(request: IncomingMessage, maxFileBytes: number): BusboyInstance {
  const contentType = request.headers['content-type'] ?? '';
  if (!/^multipart\/form-data\b/i.test(contentType))
    throw new VoiceError('unsupported_media_type', {
      message: 'The body must be multipart/form-data.',
    });
  const declared = Number(request.headers['content-length'] ?? 0);
  const fieldCount = Object.keys(Fields.shape).length;
  const formBytesMax = maxFileBytes + 64 * 1024;
  if (declared > formBytesMax) throw tooLarge(maxFileBytes);
  try {
    return new Busboy({
      headers: { ...request.headers, 'content-type': contentType },
      limits: {
        fileSize: maxFileBytes,
        files: 1,
        // One more than there are, to see that there are too many.
        fields: fieldCount + 1,
        parts: fieldCount + 3,
        fieldSize: VALUE_BYTES_MAX,
        fieldNameSize: VALUE_BYTES_MAX,
        headerSize: 8 * 1024,
      },
    });
  } catch {
    throw badForm('The multipart body has no boundary.');
  }
}

function readParts(
  request: IncomingMessage,
  parser: BusboyInstance,
  maxFileBytes: number,
): Promise<Parts> {
  const fields = new Map<string, string>();
  const pieces: Buffer[] = [];
  let found = false;
  return new Promise((resolve, reject) => {
    const fail = (error: Error): void => {
      request.unpipe(parser);
      // What is still under way is let go, so that the answer can be read.
      request.resume();
      reject(error);
    };
    const onField = (name: string, value: string, nameCut: boolean, valueCut: boolean): void => {
      if (nameCut || valueCut) return fail(badForm(`The field ${name} is too long.`));
      if (fields.has(name)) return fail(badForm(`The field ${name} is there twice.`));
      if (value.trim() !== '') fields.set(name, value.trim());
    };
    const onFile = (name: string, stream: BusboyFileStream): void => {
      stream.on('error', () => fail(badForm('The multipart body is damaged.')));
      if (name !== FILE || found) {
        stream.resume();
        return fail(badForm(`One file is taken, in the field ${FILE}.`));
      }
      found = true;
      stream.on('data', (piece: Buffer) => void pieces.push(piece));
      stream.on('limit', () => fail(tooLarge(maxFileBytes)));
    };
    parser.on('field', onField);
    parser.on('file', onFile);
    parser.on('filesLimit', () => fail(badForm(`One file is taken, in the field ${FILE}.`)));
    parser.on('fieldsLimit', () => fail(badForm('The form has too many fields.')));
    parser.on('partsLimit', () => fail(badForm('The form has too many parts.')));
    parser.on('error', () => fail(badForm('The multipart body is damaged or cut off.')));
    parser.on('finish', () => resolve({ fields, file: found ? Buffer.concat(pieces) : undefined }));
    request.on('close', () => {
      if (!request.complete) fail(badForm('The request ended before its body.'));
    });
    request.pipe(parser);
  });
}

function badForm(message: string): VoiceError {
  return new VoiceError('invalid_message', { message });
}

function tooLarge(maxBytes: number): VoiceError {
  return new VoiceError('message_too_large', {
    message: `The file is larger than ${maxBytes} bytes. Send a shorter one, or fewer channels at a lower rate.`,
  });
}

function badFields(error: z.ZodError): VoiceError {
  const details: Record<string, string> = {};
  for (const { path, message } of error.issues) details[path.join('.') || 'form'] = message;
  const [first] = Object.entries(details);
  return new VoiceError('invalid_message', {
    message: `The form is not valid: ${first?.join(': ')}`,
    details,
  });
}
