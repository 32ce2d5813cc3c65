import { recordedOf } from './query.ts';
import { type AlertRule, type RecordingRule, type RuleGroup, WHOSE } from './rule.ts';
import { plainGroups } from './rule-text.ts';
import { fill, plainTexts, value } from './settings.ts';
import { FEWEST_EVENTS, secondsOf } from './windows.ts';

/** One promise to those who talk to the fleet. */
export interface Slo {
  /** In names of recorded series. */
  readonly name: string;
  /** In names of alerts. */
  readonly alert: string;
  readonly title: string;
  /** Workers know their pool; what gateways count is of the whole fleet. */
  readonly scope: 'fleet' | 'pool';
  /** The objective among the settings of the chart. */
  readonly setting: string;
  /** Part of the events that may be bad, by default. */
  readonly budget: number;
  readonly bad: (window: string) => string;
  readonly all: (window: string) => string;
  readonly runbook: string;
}

const ofFleet = (selector: string, window: string): string => `sum (rate(${selector}[${window}]))`;
const byPool = (selector: string, window: string): string =>
  `sum by (pool) (rate(${selector}[${window}]))`;

/** More than so many seconds after. They must be one of the histogram's bounds. */
function slower(histogram: string, setting: string): Pick<Slo, 'scope' | 'bad' | 'all'> {
  return {
    scope: 'pool',
    bad: (window) =>
      `${byPool(`${histogram}_count`, window)}\n- ${byPool(`${histogram}_bucket{le=~"%${setting}Bucket%"}`, window)}`,
    all: (window) => byPool(`${histogram}_count`, window),
  };
}

const objective = (setting: string): Pick<Slo, 'setting' | 'budget'> => ({
  setting,
  // Rounded, as 1 less 0.999 is no short number.
  budget: Number((1 - value(setting)).toPrecision(6)),
});

/** Objectives over 30 days. What is aimed at is a first guess, to be set anew when numbers of real cards are known. */
export const SLOS: readonly Slo[] = [
  {
    name: 'admission',
    alert: 'VoiceAdmission',
    title: '%admissionPercent% % of valid, authenticated starts of sessions are accepted',
    scope: 'fleet',
    ...objective('admission'),
    bad: (window) =>
      ofFleet('voice_gateway_admissions_total{outcome=~"rejected_capacity|error"}', window),
    all: (window) =>
      ofFleet(
        'voice_gateway_admissions_total{outcome=~"accepted|resumed|rejected_capacity|error"}',
        window,
      ),
    runbook: 'slo-admission',
  },
  {
    name: 'first_partial',
    alert: 'VoiceFirstPartial',
    title:
      '%firstPartialPercent% % of utterances have their first text within %firstPartialSeconds% s',
    ...objective('firstPartial'),
    ...slower('voice_worker_asr_first_partial_seconds', 'firstPartialSeconds'),
    runbook: 'slo-first-partial',
  },
  {
    name: 'final',
    alert: 'VoiceFinal',
    title: '%finalPercent% % of finals come within %finalSeconds% s of the end of the utterance',
    ...objective('final'),
    ...slower('voice_worker_asr_final_latency_seconds', 'finalSeconds'),
    runbook: 'slo-final',
  },
  {
    name: 'session',
    alert: 'VoiceSession',
    title: '%sessionIntegrityPercent% % of sessions end by no fault of the fleet',
    scope: 'fleet',
    ...objective('sessionIntegrity'),
    bad: (window) =>
      ofFleet('voice_gateway_session_duration_seconds_count{end_reason="error"}', window),
    all: (window) => ofFleet('voice_gateway_session_duration_seconds_count', window),
    runbook: 'slo-session',
  },
];

/** The budget of 30 days is spent so many times as fast as it lasts, over both windows: the short one lets the alert end with its cause. */
export const BURNS = [
  { name: 'Fast', factor: 14.4, long: '1h', short: '5m', severity: 'page' },
  { name: 'Steady', factor: 6, long: '6h', short: '30m', severity: 'page' },
  { name: 'Slow', factor: 3, long: '1d', short: '2h', severity: 'ticket' },
  { name: 'Creeping', factor: 1, long: '3d', short: '6h', severity: 'ticket' },
] as const;

const SHORT_WINDOWS = ['5m', '30m', '1h', '2h', '6h'];
const LONG_WINDOWS = ['1d', '3d', '30d'];

export const ratioOf = ({ name }: Slo, window: string): string =>
  `voice:${name}_errors:ratio_rate${window}`;
export const eventsOf = ({ name }: Slo, window: string): string =>
  `voice:${name}_events:rate${window}`;
/** What may go wrong, as it is set: dashboards need not know. */
export const budgetOf = ({ name }: Slo): string => `voice:${name}_budget:ratio`;
/** By how much of the budget a ratio goes, fleet by fleet. */
export const perBudget = (slo: Slo, ratio: string): string =>
  `${ratio} / on (namespace, fleet) group_left () ${budgetOf(slo)}`;
/** The promise in words, with its defaults. */
export const titleOf = ({ title }: Slo): string => fill(title, (name) => plainTexts()[name]);

/** What the lines of a panel are called. */
export const scopeLegend = ({ scope }: Slo): string => (scope === 'pool' ? '{{pool}}' : 'fleet');
/** A recorded series, of the fleets that are chosen, and of the pools where it has any. */
export const chosen = ({ scope }: Slo, series: string): string =>
  recordedOf(series, scope === 'pool' ? 'pool=~"$pool"' : '');

function recorded(slo: Slo, windows: readonly string[]): RecordingRule[] {
  return windows.flatMap((window) => [
    { record: eventsOf(slo, window), expr: slo.all(window) },
    // Nothing where nothing happened: no traffic is no fault.
    {
      record: ratioOf(slo, window),
      expr: `(\n  ${slo.bad(window).replaceAll('\n', '\n  ')}\n)\n/ ${WHOSE} (${eventsOf(slo, window)} > 0)`,
    },
  ]);
}

function burning(slo: Slo): AlertRule[] {
  const who = slo.scope === 'pool' ? 'Pool {{ $labels.pool }}' : 'The fleet';
  return BURNS.map(({ name, factor, long, short, severity }) => {
    const threshold = `${factor} * (1 - %${slo.setting}%)`;
    return {
      alert: `${slo.alert}Burn${name}`,
      expr: [
        `${ratioOf(slo, long)} > ${threshold}`,
        `and ${ratioOf(slo, short)} > ${threshold}`,
        `and ${eventsOf(slo, long)} * ${secondsOf(long)} >= ${FEWEST_EVENTS}`,
      ].join('\n'),
      severity,
      summary: `${who} spends its error budget ${factor} times too fast over ${long}: ${slo.title}.`,
      runbook: slo.runbook,
    };
  });
}

/** Rules of all objectives, with their settings left open. */
export const SLO_DECLARED: readonly RuleGroup[] = SLOS.flatMap((slo) => {
  const name = slo.name.replaceAll('_', '-');
  return [
    {
      name: `voice-slo-${name}`,
      rules: [
        { record: budgetOf(slo), expr: `vector(1 - %${slo.setting}%)` },
        ...recorded(slo, SHORT_WINDOWS),
      ],
    },
    // They move slowly and cost much.
    { name: `voice-slo-${name}-days`, interval: '2m', rules: recorded(slo, LONG_WINDOWS) },
    { name: `voice-slo-${name}-burn`, rules: burning(slo) },
  ];
});

export const SLO_GROUPS = plainGroups(SLO_DECLARED);
