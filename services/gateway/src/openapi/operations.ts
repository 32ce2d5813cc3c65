import { HEALTH_OPERATIONS } from './health-operations.ts';
import { JOB_OPERATIONS } from './job-operations.ts';
import { MODEL_OPERATIONS } from './model-operations.ts';
import type { Operation } from './operation.ts';
import { REPLY_OPERATIONS } from './reply-operations.ts';
import { TENANT_OPERATIONS } from './tenant-operations.ts';
import { TRANSCRIPT_OPERATIONS } from './transcript-operations.ts';
import { WEBHOOK_OPERATIONS } from './webhook-operations.ts';

/** All that can be asked of a gateway over HTTP. A route that is not here fails the spec of the document. */
export const OPERATIONS: readonly Operation[] = [
  ...TRANSCRIPT_OPERATIONS,
  ...REPLY_OPERATIONS,
  ...JOB_OPERATIONS,
  ...WEBHOOK_OPERATIONS,
  ...MODEL_OPERATIONS,
  ...TENANT_OPERATIONS,
  ...HEALTH_OPERATIONS,
];
