import type { AlertCase } from './alert-cases.ts';
import type { Cause } from './cause.ts';
import { EXTERNAL_CAUSES } from './external-cause-cases.ts';

const worker = 'pool="p",job="w",instance="i"';
const on = { pool: 'p', job: 'w', instance: 'i' };
/** Of an engine that tells no processing time. */
const idleDecoder = {
  [`voice_worker_decode_seconds_total{${worker}}`]: '0x110',
  [`voice_worker_audio_seconds_total{${worker}}`]: '0+60x110',
  [`voice_worker_batch_audio_seconds_total{${worker}}`]: '0x110',
};

/** Until minute 40 ten of a hundred frames have their words later than 0.16 s, after that none. */
const frames = (le: string): string =>
  `voice_worker_frame_latency_seconds_bucket{${worker},le="${le}"}`;
const lateFrames = {
  [frames('0.16')]: '0+90x110',
  [frames('0.25')]: '0+100x40 4000+90x70',
  [frames('+Inf')]: '0+100x40 4000+90x70',
};
const jobsRunning = 'voice_worker_batch_jobs_running{job="w",instance="i"}';

/** One worker of a new version, one of the old. */
const build = (instance: string, version: string): string =>
  `voice_build_info{job="w",instance="${instance}",service="asr-worker",pool="p",version="${version}"}`;
const workers = { [build('canary', '2')]: '1x110', [build('old', '1')]: '1x110' };

/** So many a minute that are well and that are not; the latter until minute 40. */
function utterances(instance: string, well: number, ill: number): Record<string, string> {
  const of = (outcome: string): string =>
    `voice_worker_utterances_total{job="w",instance="${instance}",outcome="${outcome}"}`;
  return { [of('final')]: `0+${well}x110`, [of('failed')]: untilMinute40(ill) };
}
function finals(instance: string, well: number, ill: number): Record<string, string> {
  const name = 'voice_worker_asr_final_latency_seconds';
  const of = `job="w",instance="${instance}",pool="p",model="m"`;
  const all = well + ill;
  const [minute, later] = [40 * all, 70];
  return {
    [`${name}_bucket{${of},le="1.5"}`]: `0+${well}x110`,
    [`${name}_count{${of}}`]: `0+${all}x40 ${minute + well}+${well}x${later - 1}`,
  };
}
const untilMinute40 = (each: number): string => `0+${each}x40 ${40 * each}x70`;

const absent = (service: string): Pick<Cause, 'labels' | 'fires' | 'quiet' | 'absent'> => ({
  labels: { service },
  fires: { [`voice_build_info{service="${service}"}`]: '_x40 1x70' },
  quiet: { [`voice_build_info{service="${service}"}`]: '1x110' },
  absent: true,
});

const CAUSES: readonly Cause[] = [
  {
    alert: 'VoicePoolSaturated',
    labels: { pool: 'p' },
    fires: {
      [`voice_worker_slots{${worker}}`]: '20x110',
      [`voice_worker_slots_used{${worker}}`]: '19x40 10x70',
    },
    quiet: {
      [`voice_worker_slots{${worker}}`]: '20x110',
      [`voice_worker_slots_used{${worker}}`]: '18x110',
    },
  },
  {
    alert: 'VoicePoolNotReady',
    labels: { pool: 'p' },
    fires: { [`voice_worker_ready{${worker}}`]: '0x40 1x70' },
    quiet: {
      [`voice_worker_ready{${worker}}`]: '0x110',
      'voice_worker_ready{pool="p",job="w",instance="j"}': '1x110',
    },
  },
  {
    alert: 'VoiceClientsWait',
    labels: {},
    fires: { 'voice_gateway_sessions_waiting{instance="i"}': '2x40 0x70' },
    quiet: { 'voice_gateway_sessions_waiting{instance="i"}': '2x8 0x2 2x8 0x2 2x8 0x2 2x8' },
  },
  {
    alert: 'VoiceLeasesLost',
    labels: {},
    fires: { 'voice_lease_operations_total{op="renew",outcome="lost"}': '0+1x40 40x70' },
    quiet: { 'voice_lease_operations_total{op="renew",outcome="lost"}': '0+0.2x110' },
  },
  {
    alert: 'VoiceRedisUnanswered',
    labels: {},
    fires: {
      'voice_lease_operations_total{op="acquire",outcome="redis_unavailable"}': '0+1x40 40x70',
    },
    quiet: {
      'voice_lease_operations_total{op="acquire",outcome="redis_unavailable"}': '3x110',
      'voice_lease_operations_total{op="acquire",outcome="full"}': '0+5x110',
    },
  },
  {
    alert: 'VoiceWorkerDrainsTooLong',
    labels: on,
    // As long as it may be set to at the most.
    fires: { [`voice_worker_draining{${worker}}`]: '0x21 1x10 0x80' },
    quiet: { [`voice_worker_draining{${worker}}`]: '0x26 1x4 0x80' },
  },
  {
    alert: 'VoiceEngineRestarts',
    labels: on,
    fires: { [`voice_worker_engine_restarts_total{${worker}}`]: '0+1x40 40x70' },
    quiet: { [`voice_worker_engine_restarts_total{${worker}}`]: '0x25 1x85' },
  },
  {
    alert: 'VoiceEngineBehind',
    labels: { pool: 'p' },
    fires: {
      [`voice_worker_decode_seconds_total{${worker}}`]: '0+58x40 2320+10x70',
      [`voice_worker_audio_seconds_total{${worker}}`]: '0+60x110',
      [`voice_worker_batch_audio_seconds_total{${worker}}`]: '0x110',
    },
    quiet: {
      // Of it all, half was a job's.
      [`voice_worker_decode_seconds_total{${worker}}`]: '0+58x110',
      [`voice_worker_audio_seconds_total{${worker}}`]: '0+60x110',
      [`voice_worker_batch_audio_seconds_total{${worker}}`]: '0+60x110',
    },
  },
  {
    alert: 'VoiceEngineBehind',
    labels: { pool: 'p' },
    fires: {
      ...idleDecoder,
      ...lateFrames,
      [jobsRunning]: '0x110',
    },
    quiet: {
      ...idleDecoder,
      ...lateFrames,
      [jobsRunning]: '1x110',
    },
  },
  {
    alert: 'VoiceTurnsFail',
    labels: {},
    fires: {
      'voice_llm_tts_turns_total{outcome="spoken"}': '0+90x110',
      'voice_llm_tts_turns_total{outcome="failed"}': '0+10x40 400x70',
    },
    quiet: {
      'voice_llm_tts_turns_total{outcome="spoken"}': '0+98x110',
      'voice_llm_tts_turns_total{outcome="failed"}': '0+2x110',
      'voice_llm_tts_turns_total{outcome="cancelled"}': '0+40x110',
    },
  },
  {
    alert: 'VoiceEventLoopLags',
    labels: { job: 'w', instance: 'i' },
    fires: {
      'nodejs_eventloop_lag_p99_seconds{job="w",instance="i"}': '0.3x40 0.02x70',
      'voice_build_info{job="w",instance="i",service="gateway"}': '1x110',
    },
    // Somebody else's program.
    quiet: {
      'nodejs_eventloop_lag_p99_seconds{job="other",instance="i"}': '0.3x110',
      'nodejs_eventloop_lag_p99_seconds{job="w",instance="i"}': '0.05x110',
      'voice_build_info{job="w",instance="i",service="gateway"}': '1x110',
    },
  },
  {
    alert: 'VoiceJobsStalled',
    labels: {},
    fires: { 'voice_batch_stalled_total{instance="i"}': '0x25 1x85' },
    quiet: { 'voice_batch_stalled_total{instance="i"}': '1x110' },
  },
  {
    alert: 'VoiceJobsQuarantined',
    labels: {},
    fires: {
      'voice_worker_batch_jobs_total{outcome="quarantined"}': '0x25 1x85',
    },
    quiet: {
      'voice_worker_batch_jobs_total{outcome="quarantined"}': '0x110',
      'voice_worker_batch_jobs_total{outcome="failed"}': '0+1x110',
    },
  },
  {
    alert: 'VoiceCertificateEnds',
    labels: { instance: 'i' },
    // Promtool's clock begins at 0: ends in 13 days, then it is renewed for 90.
    fires: {
      'voice_gateway_tls_certificate_expiry_timestamp_seconds{instance="i"}':
        '1123200x80 7776000x40',
    },
    quiet: {
      'voice_gateway_tls_certificate_expiry_timestamp_seconds{instance="i"}': '1987200x120',
      'voice_gateway_tls_certificate_expiry_timestamp_seconds{instance="plain"}': '0x120',
    },
    firesAt: 70,
  },
  {
    alert: 'VoiceCanaryFails',
    labels: { pool: 'p', version: '2' },
    // One in ten, where the others have one in a hundred.
    fires: { ...workers, ...utterances('canary', 90, 10), ...utterances('old', 99, 1) },
    quiet: { ...workers, ...utterances('canary', 90, 10), ...utterances('old', 94, 6) },
    overAt: 109,
  },
  {
    alert: 'VoiceCanaryFails',
    labels: { pool: 'p', version: '2' },
    fires: { ...workers, ...utterances('canary', 90, 10), ...utterances('old', 99, 0) },
    // Too few to tell, and none to compare with.
    quiet: { ...workers, ...utterances('canary', 0, 0.5), ...utterances('old', 99, 0) },
    overAt: 109,
  },
  {
    alert: 'VoiceCanaryLate',
    labels: { pool: 'p', version: '2' },
    fires: { ...workers, ...finals('canary', 90, 10), ...finals('old', 99, 1) },
    // All are late, so it is not the canary.
    quiet: { ...workers, ...finals('canary', 90, 10), ...finals('old', 92, 8) },
    overAt: 109,
  },
  { alert: 'VoiceGatewayAbsent', ...absent('gateway') },
  { alert: 'VoiceWorkerAbsent', ...absent('asr-worker') },
  { alert: 'VoiceLlmTtsAbsent', ...absent('llm-tts') },
];

export const CAUSE_CASES: readonly AlertCase[] = [...CAUSES, ...EXTERNAL_CAUSES].flatMap(
  ({ alert, labels, fires, quiet, firesAt = 30, overAt = 100, absent: lacks }) => {
    const common = { alert, interval: '1m' };
    return [
      {
        ...common,
        behaviour: 'fires',
        series: Object.entries(fires),
        at: `${firesAt}m`,
        fires: labels,
      },
      { ...common, behaviour: 'stays quiet', series: Object.entries(quiet), at: `${firesAt}m` },
      { ...common, behaviour: 'resolves', series: Object.entries(fires), at: `${overAt}m` },
      {
        ...common,
        behaviour: lacks ? 'fires without data' : 'is quiet without data',
        series: [],
        at: `${firesAt}m`,
        ...(lacks && { fires: labels }),
      },
    ];
  },
);
