import { Readable } from 'node:stream';
import { expect, it } from '@jest/globals';
import { streamForm } from './job-upload.ts';

function part(name: string, value: string, fileName?: string): string {
  const file = fileName === undefined ? '' : `; filename="${fileName}"`;
  return `--edge\r\nContent-Disposition: form-data; name="${name}"${file}\r\n\r\n${value}\r\n`;
}

const FILE = part('file', 'RIFF and so on', 'a.wav');

function read(...parts: readonly string[]): Promise<{ kept: string }> {
  const bytes = Buffer.from(`${parts.join('')}--edge--\r\n`);
  const request = Object.assign(Readable.from([bytes], { objectMode: false }), {
    headers: { 'content-type': 'multipart/form-data; boundary=edge' },
  });
  return streamForm(request, new AbortController().signal, async (file) => {
    const pieces: Uint8Array[] = [];
    for await (const piece of file) pieces.push(piece);
    return Buffer.concat(pieces).toString();
  });
}

it('is kept as it comes', async () => {
  expect((await read(part('model', 'x'), FILE, part('format', 'srt'))).kept).toBe('RIFF and so on');
});

it.each([
  ['two files', [FILE, FILE], 'The form has more than one file.'],
  [
    'more fields than there may be',
    [...Array.from({ length: 2_000 }, (_, at) => part(`f${at}`, '1')), FILE],
    'The form has too many fields.',
  ],
])('with %s is refused, and not waited for', async (_, parts, message) => {
  await expect(read(...parts)).rejects.toMatchObject({ code: 'invalid_message', message });
});
