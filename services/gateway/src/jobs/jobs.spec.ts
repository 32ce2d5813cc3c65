import { describe, expect, it } from '@jest/globals';
import { Jobs, type JobsDeps, type Submission } from './jobs.ts';

describe('jobs where none are done', () => {
  it('are refused before anything is read or asked', async () => {
    const untouched = new Proxy({} as JobsDeps, {
      get: (_, name) => {
        if (name === 'enabled') return false;
        if (['slots', 'dailyAudio', 'onSubmitted'].includes(String(name))) return undefined;
        throw new Error(`${String(name)} was used`);
      },
    });
    const submission = new Proxy({} as Submission, {
      get: (_, name) => {
        if (name === 'idempotencyKey') return undefined;
        throw new Error(`${String(name)} was read`);
      },
    });
    const principal = { tenantId: 'default' } as Parameters<Jobs['submit']>[0];
    await expect(new Jobs(untouched).submit(principal, submission)).rejects.toMatchObject({
      code: 'jobs_disabled',
    });
  });
});
