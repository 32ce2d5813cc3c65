import { CAUSE_GROUPS, CAUSES_DECLARED } from './causes.ts';
import { chartRules } from './chart-rules.ts';
import { dashboardFile } from './dashboard.ts';
import { DASHBOARDS } from './dashboards.ts';
import { rulesFile } from './rule.ts';
import { SLO_DECLARED, SLO_GROUPS } from './slo.ts';

/** Every generated file of the chart, by its path from the root of the repository. */
export function observabilityFiles(): Readonly<Record<string, string>> {
  const dashboards = DASHBOARDS.map((dashboard) => [
    `charts/voice-fleet/dashboards/${dashboard.uid}.json`,
    dashboardFile(dashboard),
  ]);
  return {
    'charts/voice-fleet/rules/slo.yaml': rulesFile(SLO_GROUPS),
    'charts/voice-fleet/rules/causes.yaml': rulesFile(CAUSE_GROUPS),
    'charts/voice-fleet/templates/monitoring/_rule-groups.tpl': chartRules([
      ...SLO_DECLARED,
      ...CAUSES_DECLARED,
    ]),
    ...Object.fromEntries(dashboards),
  };
}
