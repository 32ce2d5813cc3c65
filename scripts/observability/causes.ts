import { CANARY_GROUP } from './canary.ts';
import type { AlertRule, RuleGroup } from './rule.ts';
import { plainGroups } from './rule-text.ts';

const ABSENT = [
  ['Gateway', 'gateway', 'gateway'],
  ['Worker', 'asr-worker', 'worker'],
  ['LlmTts', 'llm-tts', 'llmTts'],
] as const;

/** What is wrong inside, whether or not those who talk to the fleet have noticed yet. */
const CAUSES: readonly AlertRule[] = [
  {
    alert: 'VoicePoolSaturated',
    expr: 'sum by (pool) (voice_worker_slots_used)\n/ (sum by (pool) (voice_worker_slots) > 0)\n> %poolSaturation%',
    for: '5m',
    severity: 'page',
    summary:
      'More than %poolSaturationPercent% % of the slots of pool {{ $labels.pool }} are taken.',
    runbook: 'pool-saturated',
  },
  {
    alert: 'VoicePoolNotReady',
    expr: 'sum by (pool) (voice_worker_ready) == 0',
    for: '2m',
    severity: 'page',
    summary: 'No worker of pool {{ $labels.pool }} is ready.',
    runbook: 'pool-not-ready',
  },
  {
    alert: 'VoiceClientsWait',
    expr: 'sum(voice_gateway_sessions_waiting) > 0',
    for: '10m',
    severity: 'ticket',
    summary: 'Clients have waited in line for a slot for ten minutes without a pause.',
    runbook: 'clients-wait',
  },
  {
    alert: 'VoiceLeasesLost',
    expr: 'sum(increase(voice_lease_operations_total{op="renew",outcome="lost"}[10m])) > %leasesLost%',
    severity: 'page',
    summary: 'Gateways lose leases of sessions that they still serve.',
    runbook: 'leases-lost',
  },
  {
    alert: 'VoiceRedisUnanswered',
    expr: 'sum(increase(voice_lease_operations_total{op="acquire",outcome="redis_unavailable"}[5m])) > 0',
    for: '2m',
    severity: 'page',
    summary: 'Redis does not answer when gateways ask for slots.',
    runbook: 'redis-unanswered',
  },
  {
    alert: 'VoiceWorkerDrainsTooLong',
    expr: 'voice_worker_draining == 1',
    // Longer than any drain should: see WORKER_DRAIN_S.
    for: '%drainFor%',
    severity: 'ticket',
    summary:
      'Worker {{ $labels.instance }} of pool {{ $labels.pool }} was told to stop and goes on.',
    runbook: 'worker-drains-too-long',
  },
  {
    alert: 'VoiceEngineRestarts',
    expr: 'increase(voice_worker_engine_restarts_total[15m]) > %engineRestarts%',
    severity: 'page',
    summary: 'The engine of worker {{ $labels.instance }} is started again and again.',
    runbook: 'engine-restarts',
  },
  {
    alert: 'VoiceEngineBehind',
    // vLLM tells no processing time, but how late its words are; jobs hand it all their audio at once, so theirs always are.
    expr: [
      'sum by (pool) (rate(voice_worker_decode_seconds_total[10m]))',
      '/ (sum by (pool) (rate(voice_worker_audio_seconds_total[10m])) + sum by (pool) (rate(voice_worker_batch_audio_seconds_total[10m])) > 0)',
      '> %engineLoad%',
      'or histogram_quantile(0.95, sum by (le, pool) (',
      '  rate(voice_worker_frame_latency_seconds_bucket[10m])',
      '  unless on (job, instance) max_over_time(voice_worker_batch_jobs_running[10m]) > 0',
      ')) > %frameLatencySeconds%',
    ].join('\n'),
    for: '10m',
    severity: 'ticket',
    summary:
      'Engines of pool {{ $labels.pool }} need nearly as long as the audio lasts, or longer.',
    runbook: 'engine-behind',
  },
  {
    alert: 'VoiceTurnsFail',
    expr: 'sum(rate(voice_llm_tts_turns_total{outcome="failed"}[10m]))\n/ (sum(rate(voice_llm_tts_turns_total[10m])) > 0)\n> %turnsFailed%',
    for: '10m',
    severity: 'page',
    summary: 'More than %turnsFailedPercent% % of replies fail.',
    runbook: 'turns-fail',
    of: 'llmTts',
  },
  {
    alert: 'VoiceEventLoopLags',
    // Other programs on Node tell the same metric.
    expr: 'nodejs_eventloop_lag_p99_seconds > %eventLoopLagSeconds%\nand on (job, instance) voice_build_info',
    for: '5m',
    severity: 'ticket',
    summary: 'The event loop of {{ $labels.instance }} comes late: audio and words wait in it.',
    runbook: 'event-loop-lags',
  },
  {
    alert: 'VoiceJobsStalled',
    expr: 'sum(increase(voice_batch_stalled_total[15m])) > 0',
    severity: 'ticket',
    summary: 'Batch jobs were given back because their worker was not heard of.',
    runbook: 'jobs-stalled',
    of: 'job',
  },
  {
    alert: 'VoiceJobsQuarantined',
    expr: 'sum(increase(voice_worker_batch_jobs_total{outcome="quarantined"}[1h])) > 0',
    severity: 'ticket',
    summary: 'Batch jobs were given up after as many attempts as they may have.',
    runbook: 'jobs-quarantined',
    of: 'job',
  },
  {
    alert: 'VoiceCertificateEnds',
    expr: '(voice_gateway_tls_certificate_expiry_timestamp_seconds > 0) - time() < %certificateDays% * 86400',
    for: '1h',
    severity: 'ticket',
    summary: 'The certificate of {{ $labels.instance }} ends within %certificateDays% days.',
    runbook: 'certificate-ends',
    of: 'tls',
  },
  ...ABSENT.map(
    ([name, service, of]): AlertRule => ({
      alert: `Voice${name}Absent`,
      expr: `absent(voice_build_info{service="${service}"})`,
      for: '5m',
      severity: 'page',
      summary: 'Prometheus sees no {{ $labels.service }}: none runs, or none is scraped.',
      runbook: 'service-absent',
      of,
    }),
  ),
];

/** Names of autoscalers as the chart gives them. */
const SCALED = '%release%-(asr-worker-.+|gateway|llm-tts)';
const HPA = `{%kube%,horizontalpodautoscaler=~"${SCALED}"}`;

/** Told by programs beside the fleet: NVIDIA's DCGM exporter, kube-state-metrics, KEDA and the Redis exporter. */
const EXTERNAL_CAUSES: readonly AlertRule[] = [
  {
    alert: 'VoiceGpuFault',
    // The metric is the number of the last fault, which stays.
    expr: 'changes(DCGM_FI_DEV_XID_ERRORS{%cards%}[15m]) > 0\nand DCGM_FI_DEV_XID_ERRORS{%cards%} > 0',
    severity: 'page',
    summary:
      'The driver of GPU {{ $labels.gpu }} of {{ $labels.Hostname }} has reported a fault (XID).',
    runbook: 'gpu-fault',
    of: 'card',
  },
  {
    alert: 'VoiceAutoscalerAtMax',
    expr: [
      `kube_horizontalpodautoscaler_status_current_replicas${HPA}`,
      `>= kube_horizontalpodautoscaler_spec_max_replicas${HPA}`,
      // Where there is nothing to choose, nothing is at its end.
      `> kube_horizontalpodautoscaler_spec_min_replicas${HPA}`,
    ].join('\n'),
    for: '15m',
    severity: 'ticket',
    summary: 'Autoscaler {{ $labels.horizontalpodautoscaler }} has as many pods as it may.',
    runbook: 'autoscaler-at-max',
    of: 'autoscaler',
  },
  {
    alert: 'VoiceAutoscalerBlind',
    expr: [
      `kube_horizontalpodautoscaler_status_condition{%kube%,horizontalpodautoscaler=~"${SCALED}",condition="ScalingActive",status="false"} == 1`,
      // At none it is told to rest.
      `and on (namespace, horizontalpodautoscaler) kube_horizontalpodautoscaler_status_current_replicas${HPA} > 0`,
    ].join('\n'),
    for: '15m',
    severity: 'ticket',
    summary:
      'Autoscaler {{ $labels.horizontalpodautoscaler }} does not get the metric that it scales by.',
    runbook: 'scaler-errors',
    of: 'autoscaler',
  },
  {
    alert: 'VoiceScalerErrors',
    expr: `sum by (scaledObject) (increase(keda_scaler_detail_errors_total{%kube%,scaledObject=~"${SCALED}"}[10m])) > 0`,
    for: '5m',
    severity: 'ticket',
    summary: 'KEDA cannot read what {{ $labels.scaledObject }} is scaled by.',
    runbook: 'scaler-errors',
    of: 'keda',
  },
  {
    alert: 'VoiceWorkloadDown',
    // Pods that never came up tell nothing themselves.
    expr: [
      `kube_statefulset_replicas{%kube%,statefulset=~"${SCALED}"} > 0`,
      `and kube_statefulset_status_replicas_ready{%kube%,statefulset=~"${SCALED}"} == 0`,
      `or kube_deployment_spec_replicas{%kube%,deployment=~"${SCALED}"} > 0`,
      `and kube_deployment_status_replicas_ready{%kube%,deployment=~"${SCALED}"} == 0`,
    ].join('\n'),
    for: '%startFor%',
    severity: 'page',
    summary:
      'No pod of {{ or $labels.statefulset $labels.deployment }} is ready, for longer than loading a model takes.',
    runbook: 'workload-down',
  },
  {
    alert: 'VoicePodTerminating',
    // Kubernetes tells when its grace ends, not when it was told to stop.
    expr: 'time() - kube_pod_deletion_timestamp{%kube%,%pod%=~"%release%-(asr-worker|gateway|llm-tts)-.+"}\n> %terminatingSeconds%',
    for: '2m',
    severity: 'ticket',
    summary:
      'Pod {{ or $labels.exported_pod $labels.pod }} should have ended and has not; what it holds, such as a card, is taken.',
    runbook: 'pod-terminating',
  },
  {
    alert: 'VoiceLoadTestFailed',
    expr: 'kube_job_failed{%kube%,job_name=~"%release%-loadtest-.+",condition="true"} > 0',
    severity: 'ticket',
    summary: 'Load test {{ $labels.job_name }} has failed.',
    runbook: 'load-test-failed',
    of: 'loadTest',
  },
  {
    alert: 'VoiceRedisMemoryHigh',
    expr: 'redis_memory_used_bytes{%redis%} / (redis_memory_max_bytes{%redis%} > 0) > %redisMemory%',
    for: '5m',
    severity: 'page',
    summary:
      'Redis {{ $labels.instance }} uses more than %redisMemoryPercent% % of the memory that it may.',
    runbook: 'redis-memory-high',
    of: 'redis',
  },
  {
    alert: 'VoiceRedisMayEvict',
    expr: 'redis_instance_info{%redis%,maxmemory_policy!="noeviction"}',
    for: '5m',
    severity: 'page',
    summary:
      'Redis {{ $labels.instance }} throws keys away when it is full ({{ $labels.maxmemory_policy }}).',
    runbook: 'redis-may-evict',
    of: 'redis',
  },
];

/** Rules of all causes, with their settings left open. */
export const CAUSES_DECLARED: readonly RuleGroup[] = [
  { name: 'voice-causes', rules: CAUSES },
  CANARY_GROUP,
  { name: 'voice-causes-external', rules: EXTERNAL_CAUSES },
];

export const CAUSE_GROUPS = plainGroups(CAUSES_DECLARED);
