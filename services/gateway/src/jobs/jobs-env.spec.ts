import { describe, expect, it } from '@jest/globals';
import { jobsEnv } from './jobs-env.ts';

describe('variables of jobs', () => {
  it('let in no recording that a worker cannot read', () => {
    const readable = 2 ** 31 - 1;
    const { JOBS_MAX_BYTES } = jobsEnv;
    expect(JOBS_MAX_BYTES.safeParse(String(readable)).success).toBe(true);
    expect(JOBS_MAX_BYTES.safeParse(String(readable + 1)).success).toBe(false);
  });
});
