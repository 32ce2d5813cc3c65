import { Readable } from 'node:stream';
import { describe, expect, it } from '@jest/globals';
import type { BlobStore } from '@voice-fleet/jobs/blobs/blob-store';
import { UrlGuard } from '@voice-fleet/jobs/url-guard';
import { FakeClock } from '@voice-fleet/testkit/fake-clock';
import type { JobUploadRequest } from './job-upload.ts';
import { JobWishes, RecordingIntake } from './recording-intake.ts';

describe('what a request says of its job', () => {
  const metadataOf = (bytes: number) => {
    const metadata: Record<string, string> = {};
    // `"k00":"",` and the braces in place of the last comma.
    for (let left = bytes - 1; left > 0; left -= 509)
      metadata[`k${10 + Object.keys(metadata).length}`] = 'x'.repeat(Math.min(left, 509) - 9);
    expect(JSON.stringify(metadata)).toHaveLength(bytes);
    return metadata;
  };

  it('may have 8 KiB of metadata, in a JSON body as in a form', () => {
    expect(JobWishes.safeParse({ metadata: metadataOf(8192) }).success).toBe(true);
    expect(JobWishes.safeParse({ metadata: metadataOf(8193) }).error?.issues).toMatchObject([
      { path: ['metadata'], message: 'has more than 8192 bytes of JSON' },
    ]);
  });
});

describe('a recording that the store does not take', () => {
  it('is refused as what may be sent again, and the fault is told', async () => {
    const full = Object.assign(new Error('no space'), { code: 'ENOSPC' });
    const faults: unknown[] = [];
    const nothing = new UrlGuard({ allow: [] });
    const intake = new RecordingIntake({
      clock: new FakeClock(),
      blobs: { put: () => Promise.reject(full) } as unknown as BlobStore,
      maxBytes: 100,
      urlTimeoutMs: 1_000,
      urls: nothing,
      webhooks: nothing,
      onStoreFault: (error) => faults.push(error),
    });
    const body =
      '--b\r\nContent-Disposition: form-data; name="file"; filename="a"\r\n\r\nx\r\n--b--\r\n';
    const headers = { 'content-type': 'multipart/form-data; boundary=b' };
    const request = Object.assign(Readable.from([Buffer.from(body)]), { headers });
    const { signal } = new AbortController();
    const read = intake.read(request as unknown as JobUploadRequest, undefined, 'jobs/a', signal);
    await expect(read).rejects.toMatchObject({ code: 'fleet_unavailable', status: 503 });
    expect(faults).toEqual([full]);
  });
});
