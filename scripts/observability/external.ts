import type { ExternalSource } from './dashboard.ts';

/** Metrics that are read and not the fleet's own, with their kind, as their makers name them. */
export const EXTERNAL_METRICS: Readonly<
  Record<ExternalSource, Readonly<Record<string, 'gauge' | 'counter' | 'histogram'>>>
> = {
  vllm: {
    'vllm:num_requests_running': 'gauge',
    'vllm:num_requests_waiting': 'gauge',
    'vllm:kv_cache_usage_perc': 'gauge',
    'vllm:time_to_first_token_seconds': 'histogram',
    'vllm:e2e_request_latency_seconds': 'histogram',
    'vllm:request_queue_time_seconds': 'histogram',
    'vllm:prompt_tokens_total': 'counter',
    'vllm:generation_tokens_total': 'counter',
  },
  dcgm: {
    DCGM_FI_DEV_GPU_UTIL: 'gauge',
    DCGM_FI_DEV_FB_USED: 'gauge',
    DCGM_FI_DEV_XID_ERRORS: 'gauge',
  },
  kube: {
    kube_horizontalpodautoscaler_status_current_replicas: 'gauge',
    kube_horizontalpodautoscaler_status_desired_replicas: 'gauge',
    kube_horizontalpodautoscaler_spec_max_replicas: 'gauge',
    kube_horizontalpodautoscaler_spec_min_replicas: 'gauge',
    kube_horizontalpodautoscaler_status_condition: 'gauge',
    kube_statefulset_replicas: 'gauge',
    kube_statefulset_status_replicas_ready: 'gauge',
    kube_deployment_spec_replicas: 'gauge',
    kube_deployment_status_replicas_ready: 'gauge',
    kube_pod_deletion_timestamp: 'gauge',
    kube_job_failed: 'gauge',
  },
  keda: {
    keda_scaler_metrics_value: 'gauge',
    keda_scaler_detail_errors_total: 'counter',
  },
  redis: {
    redis_memory_used_bytes: 'gauge',
    redis_memory_max_bytes: 'gauge',
    redis_instance_info: 'gauge',
  },
};
