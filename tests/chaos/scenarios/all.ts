import type { Scenario } from '../scenario.ts';
import { admission } from './admission.ts';
import { batch } from './batch.ts';
import { billing } from './billing.ts';
import { catchUp } from './catch-up.ts';
import { drainWorker } from './drain-worker.ts';
import { fairness } from './fairness.ts';
import { frozen } from './frozen.ts';
import { killWorker } from './kill-worker.ts';
import { rollingRestart } from './rolling-restart.ts';

/** In the order in which they run. */
export const SCENARIOS: readonly Scenario[] = [
  killWorker,
  admission,
  rollingRestart,
  fairness,
  billing,
  drainWorker,
  catchUp,
  frozen,
  batch,
];
