import type { Cause } from './cause.ts';

const hpa = 'horizontalpodautoscaler="vf-asr-worker-l40s"';
/** A gateway whose number is fixed by its autoscaler. */
const fixed = 'horizontalpodautoscaler="vf-gateway"';

const active = (of: string, status: string): string =>
  `kube_horizontalpodautoscaler_status_condition{${of},condition="ScalingActive",status="${status}"}`;

/** Told by programs beside the fleet. */
export const EXTERNAL_CAUSES: readonly Cause[] = [
  {
    alert: 'VoiceGpuFault',
    labels: { gpu: '0', Hostname: 'n' },
    fires: { 'DCGM_FI_DEV_XID_ERRORS{gpu="0",Hostname="n"}': '0x25 79x85' },
    quiet: { 'DCGM_FI_DEV_XID_ERRORS{gpu="0",Hostname="n"}': '79x110' },
  },
  {
    alert: 'VoiceAutoscalerAtMax',
    labels: { horizontalpodautoscaler: 'vf-asr-worker-l40s' },
    fires: {
      [`kube_horizontalpodautoscaler_status_current_replicas{${hpa}}`]: '8x40 5x70',
      [`kube_horizontalpodautoscaler_spec_max_replicas{${hpa}}`]: '8x110',
      [`kube_horizontalpodautoscaler_spec_min_replicas{${hpa}}`]: '1x110',
    },
    quiet: {
      [`kube_horizontalpodautoscaler_status_current_replicas{${hpa}}`]: '7x110',
      [`kube_horizontalpodautoscaler_spec_max_replicas{${hpa}}`]: '8x110',
      [`kube_horizontalpodautoscaler_spec_min_replicas{${hpa}}`]: '1x110',
      [`kube_horizontalpodautoscaler_status_current_replicas{${fixed}}`]: '2x110',
      [`kube_horizontalpodautoscaler_spec_max_replicas{${fixed}}`]: '2x110',
      [`kube_horizontalpodautoscaler_spec_min_replicas{${fixed}}`]: '2x110',
      'kube_horizontalpodautoscaler_status_current_replicas{horizontalpodautoscaler="other"}':
        '3x110',
      'kube_horizontalpodautoscaler_spec_max_replicas{horizontalpodautoscaler="other"}': '3x110',
      'kube_horizontalpodautoscaler_spec_min_replicas{horizontalpodautoscaler="other"}': '1x110',
    },
  },
  {
    alert: 'VoiceAutoscalerBlind',
    labels: {
      horizontalpodautoscaler: 'vf-asr-worker-l40s',
      condition: 'ScalingActive',
      status: 'false',
    },
    fires: {
      [`kube_horizontalpodautoscaler_status_current_replicas{${hpa}}`]: '3x110',
      [active(hpa, 'false')]: '1x40 0x70',
    },
    quiet: {
      // Scaled to none, which is no failure.
      [`kube_horizontalpodautoscaler_status_current_replicas{${hpa}}`]: '0x110',
      [active(hpa, 'false')]: '1x110',
      [`kube_horizontalpodautoscaler_status_current_replicas{${fixed}}`]: '3x110',
      [active(fixed, 'false')]: '0x110',
      [active(fixed, 'true')]: '1x110',
    },
  },
  {
    alert: 'VoiceScalerErrors',
    labels: { scaledObject: 'vf-asr-worker-l40s' },
    fires: {
      'keda_scaler_detail_errors_total{scaledObject="vf-asr-worker-l40s",scaler="s"}':
        '0+1x40 40x70',
    },
    quiet: {
      'keda_scaler_detail_errors_total{scaledObject="vf-asr-worker-l40s",scaler="s"}': '7x110',
      'keda_scaler_detail_errors_total{scaledObject="other",scaler="s"}': '0+1x110',
    },
  },
  {
    alert: 'VoiceWorkloadDown',
    labels: { statefulset: 'vf-asr-worker-l40s' },
    fires: {
      'kube_statefulset_replicas{statefulset="vf-asr-worker-l40s"}': '2x110',
      'kube_statefulset_status_replicas_ready{statefulset="vf-asr-worker-l40s"}': '0x40 1x70',
      'kube_deployment_spec_replicas{deployment="vf-gateway"}': '2x110',
      'kube_deployment_status_replicas_ready{deployment="vf-gateway"}': '2x110',
    },
    quiet: {
      // A model is loaded; another pool is scaled to none.
      'kube_statefulset_replicas{statefulset="vf-asr-worker-l40s"}': '0x12 2x98',
      'kube_statefulset_status_replicas_ready{statefulset="vf-asr-worker-l40s"}': '0x110',
      'kube_statefulset_replicas{statefulset="vf-asr-worker-h100"}': '0x110',
      'kube_statefulset_status_replicas_ready{statefulset="vf-asr-worker-h100"}': '0x110',
    },
  },
  {
    alert: 'VoiceWorkloadDown',
    labels: { deployment: 'vf-gateway' },
    fires: {
      'kube_deployment_spec_replicas{deployment="vf-gateway"}': '2x110',
      'kube_deployment_status_replicas_ready{deployment="vf-gateway"}': '0x40 1x70',
    },
    quiet: {
      'kube_deployment_spec_replicas{deployment="other"}': '2x110',
      'kube_deployment_status_replicas_ready{deployment="other"}': '0x110',
    },
  },
  {
    alert: 'VoicePodTerminating',
    labels: { pod: 'vf-asr-worker-l40s-0' },
    // Its grace ended at minute 20; it is gone at minute 40.
    fires: { 'kube_pod_deletion_timestamp{pod="vf-asr-worker-l40s-0"}': '_x19 1200x20 stale' },
    quiet: {
      // Has its grace before it.
      'kube_pod_deletion_timestamp{pod="vf-asr-worker-l40s-0"}': '_x20 1800x20 stale',
      'kube_pod_deletion_timestamp{pod="other-0"}': '_x19 1200x20 stale',
    },
  },
  {
    alert: 'VoiceLoadTestFailed',
    labels: { job_name: 'vf-loadtest-3', condition: 'true' },
    fires: {
      'kube_job_failed{job_name="vf-loadtest-3",condition="true"}': '0x20 1x20 stale',
      'kube_job_failed{job_name="vf-loadtest-3",condition="false"}': '0x110',
    },
    quiet: {
      'kube_job_failed{job_name="vf-loadtest-3",condition="true"}': '0x110',
      'kube_job_failed{job_name="other",condition="true"}': '1x110',
    },
  },
  {
    alert: 'VoiceRedisMemoryHigh',
    labels: { instance: 'r' },
    fires: {
      'redis_memory_used_bytes{instance="r"}': '90x40 50x70',
      'redis_memory_max_bytes{instance="r"}': '100x110',
    },
    // Without a limit of its own it is the machine's.
    quiet: {
      'redis_memory_used_bytes{instance="r"}': '70x110',
      'redis_memory_max_bytes{instance="r"}': '100x110',
      'redis_memory_used_bytes{instance="free"}': '90x110',
      'redis_memory_max_bytes{instance="free"}': '0x110',
    },
  },
  {
    alert: 'VoiceRedisMayEvict',
    labels: { instance: 'r', maxmemory_policy: 'allkeys-lru' },
    fires: { 'redis_instance_info{instance="r",maxmemory_policy="allkeys-lru"}': '1x40 stale' },
    quiet: { 'redis_instance_info{instance="r",maxmemory_policy="noeviction"}': '1x110' },
  },
];
