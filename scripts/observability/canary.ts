import { type AlertRule, type RecordingRule, type RuleGroup, WHOSE } from './rule.ts';
import { FEWEST_EVENTS, secondsOf } from './windows.ts';

const WINDOW = '30m';

/** Pool and version of the worker that tells a series. */
const WORKER =
  'on (job, instance) group_left (pool, version) voice_build_info{service="asr-worker"}';

const byVersion = (selector: string): string =>
  `sum by (pool, version) (\n  rate(${selector}[${WINDOW}]) * ${WORKER}\n)`;

const FINALS = 'voice_worker_asr_final_latency_seconds';
const NAMES = {
  utterances: `voice:worker_utterances:rate${WINDOW}`,
  failed: `voice:worker_utterances_failed:rate${WINDOW}`,
  finals: `voice:worker_finals:rate${WINDOW}`,
  late: `voice:worker_finals_late:rate${WINDOW}`,
};

const RECORDED: readonly RecordingRule[] = [
  {
    record: NAMES.utterances,
    expr: byVersion('voice_worker_utterances_total{outcome=~"final|failed"}'),
  },
  { record: NAMES.failed, expr: byVersion('voice_worker_utterances_total{outcome="failed"}') },
  { record: NAMES.finals, expr: byVersion(`${FINALS}_count`) },
  {
    record: NAMES.late,
    expr: `${NAMES.finals}\n- ${WHOSE} ${byVersion(`${FINALS}_bucket{le=~"%finalSecondsBucket%"}`)}`,
  },
];

/** More bad ones than `floor`, and so many times as many as all other workers have; neither side may be too small to tell. */
function worse(bad: string, all: string, floor: string): string {
  const others = (name: string): string => `(scalar(sum(${name})) - ${name})`;
  const enough = `* ${secondsOf(WINDOW)} >= ${FEWEST_EVENTS}`;
  return [
    `${bad} / (${all} > 0) > ${floor}`,
    `and ${bad} / (${all} > 0) > %canaryFactor% * ${others(bad)} / ${others(all)}`,
    `and ${all} ${enough}`,
    `and ${others(all)} ${enough}`,
  ].join('\n');
}

const WHO = 'version {{ $labels.version }} in pool {{ $labels.pool }}';

const ALERTS: readonly AlertRule[] = [
  {
    alert: 'VoiceCanaryFails',
    expr: worse(NAMES.failed, NAMES.utterances, '%canaryFailures%'),
    for: '10m',
    severity: 'ticket',
    summary: `Utterances fail more than %canaryFactor% times as often on ${WHO} as on all other workers.`,
    runbook: 'canary-worse',
  },
  {
    alert: 'VoiceCanaryLate',
    // No worse than was promised is no reason to go back.
    expr: worse(NAMES.late, NAMES.finals, '(1 - %final%)'),
    for: '10m',
    severity: 'ticket',
    summary: `Finals are late more than %canaryFactor% times as often on ${WHO} as on all other workers.`,
    runbook: 'canary-worse',
  },
];

/** A pool or version that does worse than the rest: the canary, or what was rolled out last. */
export const CANARY_GROUP: RuleGroup = { name: 'voice-canary', rules: [...RECORDED, ...ALERTS] };
