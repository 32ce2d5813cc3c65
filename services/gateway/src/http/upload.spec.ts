import { Readable } from 'node:stream';
import { describe, expect, it } from '@jest/globals';
import { VoiceError } from '@voice-fleet/protocol/errors';
import fc from 'fast-check';
import { readUpload, type Upload } from './upload.ts';

const MAX_BYTES = 1_000;
const WAV = 'RIFF and so on';

/** What parsers of forms look for. */
const FRAGMENTS = [
  '--edge',
  '--edge--',
  '\r\n',
  '\r\n\r\n',
  '--',
  '\0',
  'Content-Disposition: form-data; name="file"; filename="c"\r\n\r\n',
  'Content-Type: multipart/mixed; boundary=in\r\n',
  "filename*=utf-8''%ff",
];

/** A part of a form; `fileName` is left out for a field. */
function part(name: string, value: string, fileName?: string): string {
  const file = fileName === undefined ? '' : `; filename="${fileName}"`;
  return `--edge\r\nContent-Disposition: form-data; name="${name}"${file}\r\n\r\n${value}\r\n`;
}

/** Reads a form, which comes in pieces of a few bytes. */
function read(parts: readonly string[], end = '--edge--\r\n'): Promise<Upload> {
  return readBytes(Buffer.from(parts.join('') + end), 700);
}

function readBytes(bytes: Buffer, pieceBytes: number): Promise<Upload> {
  const pieces = Array.from({ length: Math.ceil(bytes.length / pieceBytes) }, (_, at) =>
    bytes.subarray(pieceBytes * at, pieceBytes * (at + 1)),
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

  it('that says that it is too large is refused before it is read', async () => {
    const request = Object.assign(new Readable({ read: () => undefined }), {
      headers: {
        'content-type': 'multipart/form-data; boundary=edge',
        'content-length': '10000000',
      },
    });
    await expect(
      readUpload(request, MAX_BYTES, new AbortController().signal),
    ).rejects.toMatchObject({ code: 'message_too_large' });
    request.destroy();
  });

  it('with any damage comes to its end, in a recording or an error that says why', async () => {
    const whole = Buffer.from(
      `${part('a', '1')}${part('file', WAV, 'a.wav')}${part('b', 'x'.repeat(5_000))}${part('cover', 'y', 'b.png')}--edge--\r\n`,
    );
    const place = fc.nat(whole.length);
    const damage = fc.record({
      pieceBytes: fc.integer({ min: 1, max: 6_000 }),
      cuts: fc.array(fc.tuple(place, fc.nat(60)), { maxLength: 3 }),
      pastes: fc.array(fc.tuple(place, fc.constantFrom(...FRAGMENTS)), { maxLength: 4 }),
    });
    await fc.assert(
      fc.asyncProperty(damage, async ({ pieceBytes, cuts, pastes }) => {
        let bytes = whole;
        for (const [at, length] of cuts)
          bytes = Buffer.concat([bytes.subarray(0, at), bytes.subarray(at + length)]);
        for (const [at, text] of pastes)
          bytes = Buffer.concat([bytes.subarray(0, at), Buffer.from(text), bytes.subarray(at)]);
        const outcome: unknown = await readBytes(bytes, pieceBytes).catch(
          (error: unknown) => error,
        );
        if (!(outcome instanceof VoiceError))
          expect((outcome as Upload).bytes.length).toBeGreaterThan(0);
      }),
      { numRuns: 300 },
    );
  });
});
