import type { AlertRule, RecordingRule, RuleGroup } from './rule.ts';

/** One promise to those who talk to the fleet. */
export interface Slo {
  /** In names of recorded series. */
  readonly name: string;
  /** In names of alerts. */
  readonly alert: string;
  readonly title: string;
  /** Workers know their pool; what gateways count is of the whole fleet. */
  readonly scope: 'fleet' | 'pool';
  /** Part of the events that may be bad. */
  readonly budget: number;
  readonly bad: (window: string) => string;
  readonly all: (window: string) => string;
  readonly runbook: string;
}

const ofFleet = (selector: string, window: string): string => `sum (rate(${selector}[${window}]))`;
const byPool = (selector: string, window: string): string =>
  `sum by (pool) (rate(${selector}[${window}]))`;

/** More than `le` seconds after. `le` must be one of the histogram's buckets. */
function slower(histogram: string, le: number): Pick<Slo, 'scope' | 'bad' | 'all'> {
  return {
    scope: 'pool',
    bad: (window) =>
      `${byPool(`${histogram}_count`, window)}\n- ${byPool(`${histogram}_bucket{le="${le}"}`, window)}`,
    all: (window) => byPool(`${histogram}_count`, window),
  };
}

/** Objectives over 30 days. What is aimed at is a first guess, to be set anew when numbers of real cards are known. */
export const SLOS: readonly Slo[] = [
  {
    name: 'admission',
    alert: 'VoiceAdmission',
    title: '99.9 % of valid, authenticated starts of sessions are accepted',
    scope: 'fleet',
    budget: 0.001,
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
    title: '99 % of utterances have their first text within 0.8 s',
    budget: 0.01,
    ...slower('voice_worker_asr_first_partial_seconds', 0.8),
    runbook: 'slo-first-partial',
  },
  {
    name: 'final',
    alert: 'VoiceFinal',
    title: '99 % of finals come within 1.5 s of the end of the utterance',
    budget: 0.01,
    ...slower('voice_worker_asr_final_latency_seconds', 1.5),
    runbook: 'slo-final',
  },
  {
    name: 'session',
    alert: 'VoiceSession',
    title: '99.9 % of sessions end by no fault of the fleet',
    scope: 'fleet',
    budget: 0.001,
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

/** Fewer events than these in the long window tell of too little to call anybody. */
export const FEWEST_EVENTS = 20;

const SECONDS: Readonly<Record<string, number>> = { m: 60, h: 3600, d: 86_400 };

/** Seconds of `5m`, `1h`, `3d`. */
export function secondsOf(window: string): number {
  return Number.parseInt(window, 10) * (SECONDS[window.slice(-1)] ?? Number.NaN);
}

const SHORT_WINDOWS = ['5m', '30m', '1h', '2h', '6h'];
const LONG_WINDOWS = ['1d', '3d', '30d'];

export const ratioOf = ({ name }: Slo, window: string): string =>
  `voice:${name}_errors:ratio_rate${window}`;
export const eventsOf = ({ name }: Slo, window: string): string =>
  `voice:${name}_events:rate${window}`;

/** What the lines of a panel are called. */
export const scopeLegend = ({ scope }: Slo): string => (scope === 'pool' ? '{{pool}}' : 'fleet');
/** A recorded series, of the pools that are chosen where it has any. */
export const chosen = ({ scope }: Slo, series: string): string =>
  scope === 'pool' ? `${series}{pool=~"$pool"}` : series;

function recorded(slo: Slo, windows: readonly string[]): RecordingRule[] {
  return windows.flatMap((window) => [
    { record: eventsOf(slo, window), expr: slo.all(window) },
    // Nothing where nothing happened: no traffic is no fault.
    {
      record: ratioOf(slo, window),
      expr: `(\n  ${slo.bad(window).replaceAll('\n', '\n  ')}\n)\n/ (${eventsOf(slo, window)} > 0)`,
    },
  ]);
}

function burning(slo: Slo): AlertRule[] {
  const who = slo.scope === 'pool' ? 'Pool {{ $labels.pool }}' : 'The fleet';
  return BURNS.map(({ name, factor, long, short, severity }) => {
    // Rounded, as 14.4 times 0.001 is no short number.
    const threshold = Number((factor * slo.budget).toPrecision(6));
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

export const SLO_GROUPS: readonly RuleGroup[] = SLOS.flatMap((slo) => {
  const name = slo.name.replaceAll('_', '-');
  return [
    { name: `voice-slo-${name}`, rules: recorded(slo, SHORT_WINDOWS) },
    // They move slowly and cost much.
    { name: `voice-slo-${name}-days`, interval: '2m', rules: recorded(slo, LONG_WINDOWS) },
    { name: `voice-slo-${name}-burn`, rules: burning(slo) },
  ];
});
