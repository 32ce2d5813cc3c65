import { CAUSE_GROUPS } from './causes.ts';
import { dashboardFile } from './dashboard.ts';
import { DASHBOARDS } from './dashboards.ts';
import { rulesFile } from './rule.ts';
import { SLO_GROUPS } from './slo.ts';

/** Every generated file of the chart, by its path from the root of the repository. */
export function observabilityFiles(): Readonly<Record<string, string>> {
  const dashboards = DASHBOARDS.map((dashboard) => [
    `charts/voice-fleet/dashboards/${dashboard.uid}.json`,
    dashboardFile(dashboard),
  ]);
  return {
    'charts/voice-fleet/rules/slo.yaml': rulesFile(SLO_GROUPS),
    'charts/voice-fleet/rules/causes.yaml': rulesFile(CAUSE_GROUPS),
    ...Object.fromEntries(dashboards),
  };
}
