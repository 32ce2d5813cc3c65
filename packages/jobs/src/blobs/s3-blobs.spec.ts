import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { type FakeS3, startFakeS3 } from '@voice-fleet/testkit/fake-s3/fake-s3';
import { S3Blobs } from './s3-blobs.ts';

const never = new AbortController().signal;
const MIB = 1_048_576;

async function* pieces(count: number, bytes: number): AsyncGenerator<Uint8Array> {
  for (let at = 0; at < count; at++) yield await Promise.resolve(Buffer.alloc(bytes, at));
}

describe('blobs in a bucket', () => {
  let s3: FakeS3;
  let blobs: S3Blobs;
  beforeAll(async () => {
    s3 = await startFakeS3();
    blobs = new S3Blobs(
      { kind: 's3', bucket: 'audio', endpoint: s3.url, pathStyle: true },
      { region: 'us-east-1', credentials: { accessKeyId: 'id', secretAccessKey: 'secret' } },
    );
  });
  afterAll(async () => {
    blobs.close();
    await s3.close();
  });

  const put = (key: string, source: AsyncIterable<Uint8Array>, maxBytes = 20 * MIB) =>
    blobs.put(key, source, { maxBytes, signal: never });

  it('come back as they were put, small and in parts', async () => {
    await expect(put('jobs/small', pieces(3, 10))).resolves.toMatchObject({ bytes: 30 });
    await expect(put('jobs/large', pieces(6, MIB))).resolves.toMatchObject({ bytes: 6 * MIB });
    const large = await blobs.read('jobs/large', never);
    expect(large?.length).toBe(6 * MIB);
    expect(large?.[5 * MIB]).toBe(5);
    expect((await blobs.read('jobs/small', never))?.length).toBe(30);
    expect([...s3.objects.keys()]).toEqual(['/audio/jobs/small', '/audio/jobs/large']);
    expect(s3.requests).toContain('PUT partNumber uploadId x-id');
  });

  it('are not there when nothing was put, or all was removed', async () => {
    await put('jobs/gone', pieces(1, 10));
    await blobs.remove('jobs/gone');
    await blobs.remove('jobs/gone');
    expect(await blobs.read('jobs/gone', never)).toBeUndefined();
  });

  it('are not kept when they are too large, and no upload stays open', async () => {
    await expect(put('jobs/huge', pieces(9, MIB), 8 * MIB)).rejects.toMatchObject({
      code: 'message_too_large',
    });
    expect(s3.objects.has('/audio/jobs/huge')).toBe(false);
    expect(s3.openUploads).toBe(0);
  });

  it('survive a server that fails, or a lost connection, once', async () => {
    s3.fail(1, 503);
    await put('jobs/again', pieces(1, 10));
    s3.fail(1, 'reset');
    expect((await blobs.read('jobs/again', never))?.length).toBe(10);
  });

  it('tell of a store that goes on failing', async () => {
    s3.fail(100, 500);
    await expect(blobs.read('jobs/small', never)).rejects.toThrow();
    s3.fail(0, 500);
  });

  it('are swept, on whatever page they are, once they are old and not kept', async () => {
    for (const name of ['a', 'b', 'c', 'd', 'e']) await put(`old/${name}`, pieces(1, 1));
    await put('older/a', pieces(1, 1));
    const swept: string[] = [];
    const sweep = (beforeMs: number) =>
      blobs.sweep('old', {
        ...{ beforeMs, signal: never },
        isKept: async (name) => name === 'b',
        onRemoved: () => swept.push('one'),
      });
    await sweep(0);
    expect(swept).toHaveLength(0);
    await sweep(Date.now() + 60_000);
    expect(swept).toHaveLength(4);
    expect([...s3.objects.keys()].filter((key) => key.startsWith('/audio/old'))).toEqual([
      ...['/audio/old/b', '/audio/older/a'],
    ]);
  });

  it('take no key that leads elsewhere', async () => {
    await expect(put('../other', pieces(1, 1))).rejects.toThrow(RangeError);
  });
});
