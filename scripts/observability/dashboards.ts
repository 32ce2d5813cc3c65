import type { Dashboard } from './dashboard.ts';
import { ASR } from './dashboards/asr.ts';
import { CAPACITY } from './dashboards/capacity.ts';
import { GATEWAY } from './dashboards/gateway.ts';
import { LOAD_TEST } from './dashboards/load-test.ts';
import { BATCH, SLO, TENANTS } from './dashboards/others.ts';
import { OVERVIEW } from './dashboards/overview.ts';
import { TURNS } from './dashboards/turns.ts';

/** In the order in which they are read. */
export const DASHBOARDS: readonly Dashboard[] = [
  OVERVIEW,
  GATEWAY,
  ASR,
  TURNS,
  CAPACITY,
  TENANTS,
  BATCH,
  SLO,
  LOAD_TEST,
];
