import { type AlertRule, RUNBOOKS } from '../../scripts/observability/rule.ts';
import { BURNS, SLOS, type Slo } from '../../scripts/observability/slo.ts';
import { FEWEST_EVENTS, secondsOf } from '../../scripts/observability/windows.ts';

/** A series of promtool: its name with labels, and its values in promtool's notation. */
type Series = readonly [name: string, values: string];

/** One thing that an alert must do with one history. */
export interface AlertCase {
  readonly alert: string;
  readonly behaviour: string;
  /** Between two values, as `1m`. */
  readonly interval: string;
  readonly series: readonly Series[];
  /** When it is looked at. */
  readonly at: string;
  /** The labels of what must fire then, beside its severity; absent: nothing must. */
  readonly fires?: Readonly<Record<string, string>>;
}

/** The case as a test group of promtool, which reads JSON as YAML. */
export function testGroup(rule: AlertRule, test: AlertCase): object {
  const labels = test.fires;
  const summary = rule.summary.replace(/\{\{ (?:or )?(.*?) \}\}/g, (_, names: string) => {
    const given = [...names.matchAll(/\$labels\.(\w+)/g)].map(([, name = '']) => labels?.[name]);
    return given.find((value) => value !== undefined) ?? '';
  });
  const expected = labels && {
    exp_labels: { severity: rule.severity, ...labels },
    exp_annotations: { summary, runbook_url: `${RUNBOOKS}/${rule.runbook}.md` },
  };
  return {
    name: `${test.alert} ${test.behaviour}`,
    interval: test.interval,
    input_series: test.series.map(([series, values]) => ({ series, values })),
    alert_rule_test: [
      { eval_time: test.at, alertname: test.alert, exp_alerts: expected ? [expected] : [] },
    ],
  };
}

/** Values of the short window. */
const STEPS = 6;
const EVENTS = 1000;

/** Growing counters of one objective: in each stretch so many steps with so large a part of bad events. */
function history(
  slo: Slo,
  stretches: readonly [steps: number, bad: number][],
  events = EVENTS,
): Series[] {
  let [all, bad] = [0, 0];
  const alls = [0];
  const bads = [0];
  const goods = [0];
  for (const [steps, part] of stretches)
    for (let step = 0; step < steps; step += 1) {
      all += events;
      bad += events * part;
      alls.push(all);
      bads.push(bad);
      goods.push(all - bad);
    }
  const line = (values: readonly number[]): string => values.join(' ');
  switch (slo.name) {
    case 'admission': {
      const name = (outcome: string): string =>
        `voice_gateway_admissions_total{instance="i",protocol="yap",outcome="${outcome}"}`;
      // Refusals that are the client's own doing spend nothing.
      return [
        [name('accepted'), line(goods)],
        [name('rejected_capacity'), line(bads)],
        [name('rejected_auth'), line(alls)],
      ];
    }
    case 'session': {
      const name = (reason: string): string =>
        `voice_gateway_session_duration_seconds_count{instance="i",end_reason="${reason}"}`;
      return [
        [name('ended'), line(goods)],
        [name('error'), line(bads)],
      ];
    }
    default: {
      const [histogram, le] =
        slo.name === 'final'
          ? ['voice_worker_asr_final_latency_seconds', '1.5']
          : ['voice_worker_asr_first_partial_seconds', '0.8'];
      return [
        [`${histogram}_count{pool="p",instance="i",model="m"}`, line(alls)],
        [`${histogram}_bucket{pool="p",instance="i",model="m",le="${le}"}`, line(goods)],
      ];
    }
  }
}

/** Both windows count: without the long one a short spike would fire, without the short one an alert would outlast its cause. */
function burnCases(slo: Slo): AlertCase[] {
  return BURNS.flatMap(({ name, factor, long, short }) => {
    const alert = `${slo.alert}Burn${name}`;
    const threshold = factor * slo.budget;
    const stepS = secondsOf(short) / STEPS;
    const longSteps = Math.ceil(secondsOf(long) / stepS);
    const time = (steps: number): string => `${steps * stepS}s`;
    const common = { alert, interval: `${stepS}s` };
    const lasting = [longSteps + 2, 2 * threshold] as [number, number];
    const ended = longSteps + 2 + STEPS + 2;
    return [
      {
        ...common,
        behaviour: 'fires',
        series: history(slo, [lasting]),
        at: time(longSteps + 2),
        fires: slo.scope === 'pool' ? { pool: 'p' } : {},
      },
      {
        ...common,
        behaviour: 'stays quiet below',
        series: history(slo, [[longSteps + 2, threshold / 2]]),
        at: time(longSteps + 2),
      },
      {
        ...common,
        behaviour: 'stays quiet in a short spike',
        series: history(slo, [
          [longSteps, 0],
          [STEPS, Math.min(1, 4 * threshold)],
        ]),
        at: time(longSteps + STEPS),
      },
      {
        ...common,
        behaviour: 'resolves soon after its cause',
        series: history(slo, [lasting, [STEPS + 2, 0]]),
        at: time(ended),
      },
      {
        ...common,
        behaviour: 'stays quiet when hardly anything happens',
        series: history(slo, [[longSteps + 2, 1]], (0.5 * FEWEST_EVENTS) / longSteps),
        at: time(longSteps + 2),
      },
      { ...common, behaviour: 'is quiet without data', series: [], at: time(longSteps) },
    ];
  });
}

export const BURN_CASES: readonly AlertCase[] = SLOS.flatMap(burnCases);
