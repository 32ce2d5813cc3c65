import { describe, expect, it } from '@jest/globals';
import { JobWishes } from './recording-intake.ts';

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
