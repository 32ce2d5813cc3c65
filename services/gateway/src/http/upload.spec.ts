import { Readable } from 'node:stream';
import { describe, expect, it } from '@jest/globals';
import { VoiceError } from '@voice-fleet/protocol/errors';
import { readUpload, type Upload } from './upload.ts';

const MAX_BYTES = 1_000;
const WAV = 'RIFF and so on';

/** A part of a form; `fileName` is left out for a field. */
function part(name: string, value: string, fileName?: string): string {
  const file = fileName === undefined ? '' : `; filename="${fileName}"`;
  return `--edge\r\nContent-Disposition: form-data; name="${name}"${file}\r\n\r\n${value}\r\n`;
}

/** Reads a form, which comes in pieces of a few bytes. */
function read(parts: readonly string[], end = '--edge--\r\n'): Promise<Upload> {
  const bytes = Buffer.from(parts.join('') + end);
  const pieces = Array.from({ length: Math.ceil(bytes.length / 700) }, (_, at) =>
    bytes.subarray(700 * at, 700 * (at + 1)),
  );
  const request = Object.assign(Readable.from(pieces, { objectMode: false }), {
    headers: { 'content-type': 'multipart/form-data; boundary=edge' },
  });
  return readUpload(request, MAX_BYTES, new AbortController().signal);
}

async function refusal(parts: readonly string[], end?: string): Promise<[string, string]> {
  const error: unknown = await read(parts, end).catch((thrown: unknown) => thrown);
  if (!(error instanceof VoiceError)) throw new Error(`not refused: ${String(error)}`);
  return [error.code, error.message];
}

describe('a form', () => {
  it('has a recording, and all values of its fields wherever they stand', async () => {
    const keywords = Array.from({ length: 300 }, (_, at) => part('keywords[]', `w${at}`));
    const { bytes, fields } = await read([
      ...keywords,
      part('file', WAV, 'a.wav'),
      part('model', 'whisper-1'),
    ]);
    expect(bytes.toString()).toBe(WAV);
    expect(fields.get('keywords[]')).toHaveLength(300);
    expect(fields.get('model')).toEqual(['whisper-1']);
  });

  it('may give its recording no name, and hold other files', async () => {
    const { bytes } = await read([part('cover', 'picture', 'a.png'), part('file', WAV)]);
    expect(bytes.toString()).toBe(WAV);
  });

  it('with two recordings is refused, and not waited for', async () => {
    const file = part('file', WAV, 'a.wav');
    expect(await refusal([file, file])).toEqual([
      'invalid_message',
      'The form has more than one part `file`.',
    ]);
  });

  it('with more parts than it may have is refused, and not waited for', async () => {
    const many = Array.from({ length: 5_000 }, (_, at) => part(`f${at}`, '1'));
    expect(await refusal([...many, part('file', WAV, 'a.wav')])).toEqual([
      'invalid_message',
      'The form has more than 1024 parts.',
    ]);
  });

  it.each([
    ['is cut off', [part('file', WAV, 'a.wav')], ''],
    ['has another boundary', ['--other\r\n\r\nx\r\n--other--\r\n'], ''],
  ])('that %s is refused', async (_, parts, end) => {
    expect((await refusal(parts, end))[0]).toBe('invalid_message');
  });

  it('without a recording, with an empty one or with too large a one is refused', async () => {
    expect((await refusal([part('model', 'x')]))[0]).toBe('missing_audio');
    expect((await refusal([part('file', '', 'a.wav')]))[0]).toBe('missing_audio');
    expect((await refusal([part('file', 'x'.repeat(1_001))]))[0]).toBe('message_too_large');
  });
});
