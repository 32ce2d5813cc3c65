import { randomBytes } from 'node:crypto';

/** Enough for the next 3000 years. */
const TIME_CHARS = 9;

/** An id such as `job_0mj2k5f8q1c…`: whoever knows the order of two ids knows which was made first, to the millisecond. */
export function newJobId(nowMs: number): string {
  const time = Math.floor(nowMs).toString(36).padStart(TIME_CHARS, '0');
  return `job_${time}${randomBytes(10).toString('hex')}`;
}
