{{/* (root, name) as JSON: all settings of a pool, and what of them cannot be. */}}
{{- define "voice.pool" -}}
{{- $root := index . 0 -}}
{{- $name := index . 1 -}}
{{- $own := default (dict) (index $root.Values.pools $name) -}}
{{- $pool := mergeOverwrite (deepCopy $root.Values.workerDefaults) (deepCopy $own) -}}
{{- $scaling := $pool.autoscaling -}}
{{- if eq $pool.engine "vllm" -}}
{{- $cards := or (gt (int $pool.gpu.count) 0) $pool.gpu.resourceClaims -}}
{{- if not $cards -}}
{{- fail (printf "pools.%s: engine vllm needs a card: set gpu.count or gpu.resourceClaims, or take engine pocketsphinx for a trial on a CPU" $name) -}}
{{- end -}}
{{- $model := $pool.model -}}
{{- if and (eq $model.source "image") (empty $model.image.reference) -}}
{{- fail (printf "pools.%s: model.source is image: name it in model.image.reference" $name) -}}
{{- end -}}
{{- if and (eq $model.source "volume") (eq (empty $model.volume.existingClaim) (empty $model.volume.hostPath)) -}}
{{- fail (printf "pools.%s: model.source is volume: set one of model.volume.existingClaim and model.volume.hostPath" $name) -}}
{{- end -}}
{{- if eq $model.source "hub" -}}
{{- $cache := $model.cache -}}
{{- if and (eq $cache.kind "existingClaim") (empty $cache.claimName) -}}
{{- fail (printf "pools.%s: model.cache.kind is existingClaim: name it in model.cache.claimName" $name) -}}
{{- end -}}
{{- if and (eq $cache.kind "hostPath") (empty $cache.path) -}}
{{- fail (printf "pools.%s: model.cache.kind is hostPath: name the folder in model.cache.path" $name) -}}
{{- end -}}
{{- if and (eq $cache.kind "claimTemplate") (ne $pool.kind "StatefulSet") -}}
{{- fail (printf "pools.%s: model.cache.kind claimTemplate is for kind StatefulSet; a Deployment takes existingClaim, hostPath or emptyDir" $name) -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- if $scaling.enabled -}}
{{- if eq (int (coalesce $pool.slotsPerPod $pool.slots)) 0 -}}
{{- fail (printf "pools.%s: autoscaling reckons in slots: set slotsPerPod (or slots) to the sessions that one pod takes, see docs/operations/sizing.md" $name) -}}
{{- end -}}
{{- if gt (int $scaling.minReplicas) (int $scaling.maxReplicas) -}}
{{- fail (printf "pools.%s: autoscaling.minReplicas (%d) is more than maxReplicas (%d)" $name (int $scaling.minReplicas) (int $scaling.maxReplicas)) -}}
{{- end -}}
{{- if and (eq $scaling.kind "keda") (empty $scaling.prometheusAddress) -}}
{{- fail (printf "pools.%s: autoscaling.kind keda asks Prometheus: set autoscaling.prometheusAddress, such as http://prometheus.monitoring:9090" $name) -}}
{{- end -}}
{{- if and (eq $scaling.kind "hpa") (eq (int $scaling.minReplicas) 0) -}}
{{- fail (printf "pools.%s: autoscaling.kind hpa cannot scale to 0: set minReplicas to 1, or take kind keda" $name) -}}
{{- end -}}
{{- end -}}
{{- if and (eq $pool.kind "Deployment") (has (toString $pool.rollout.maxSurge) (list "0" "0%")) (has (toString $pool.rollout.maxUnavailable) (list "0" "0%")) -}}
{{- fail (printf "pools.%s: one of rollout.maxSurge and rollout.maxUnavailable must be more than 0" $name) -}}
{{- end -}}
{{- $pool | toJson -}}
{{- end -}}

{{/* (root, name, pool) as JSON: the environment of a worker. */}}
{{- define "voice.workerEnv" -}}
{{- $root := index . 0 -}}
{{- $name := index . 1 -}}
{{- $pool := index . 2 -}}
{{- $env := mergeOverwrite (include "voice.commonEnv" (list $root "asr-worker") | fromJson) (include "voice.jobsEnv" $root | fromJson) -}}
{{- $_ := set $env "ASR_ENGINE" $pool.engine -}}
{{- $_ := set $env "FLEET_NAME" (include "voice.fleet" $root) -}}
{{- $_ := set $env "LEASE_TTL_S" $root.Values.fleet.leaseTtlSeconds -}}
{{- $_ := set $env "WORKER_BIND_HOST" (include "voice.anyAddress" $root) -}}
{{- $_ := set $env "WORKER_DRAIN_S" $pool.drainSeconds -}}
{{- $_ := set $env "WORKER_HOST" (dict "field" "status.podIP") -}}
{{- $_ := set $env "WORKER_NAME" (dict "field" "metadata.name") -}}
{{- $_ := set $env "WORKER_POOL" $name -}}
{{- if eq $pool.kind "StatefulSet" -}}
{{- $_ := set $env "WORKER_ORDINAL" (dict "field" "metadata.labels['apps.kubernetes.io/pod-index']") -}}
{{- else -}}
{{- $_ := set $env "POD_DELETION_COST" true -}}
{{- $_ := set $env "POD_NAME" (dict "field" "metadata.name") -}}
{{- $_ := set $env "POD_NAMESPACE" (dict "field" "metadata.namespace") -}}
{{- end -}}
{{- if gt (int $pool.slots) 0 }}
{{- $_ := set $env "WORKER_SLOTS" $pool.slots -}}
{{- else if and (gt (int $pool.slotsPerPod) 0) (eq $pool.engine "vllm") }}
{{- /* The card is the sidecar's: the worker cannot see what it is. */ -}}
{{- $_ := set $env "WORKER_SLOTS_START" $pool.slotsPerPod -}}
{{- end -}}
{{- if $root.Values.jobs.enabled }}{{ $_ := set $env "BATCH_JOBS_MAX" $root.Values.jobs.perWorker }}{{ end -}}
{{- if eq $pool.engine "vllm" -}}
{{- $env = mergeOverwrite $env (include "voice.engineEnv" $pool | fromJson) -}}
{{- $_ := set $env "VLLM_BASE_URL" (printf "http://%s:8300" (include "voice.loopback" $root)) -}}
{{- end -}}
{{- $env | toJson -}}
{{- end -}}

{{/* (pool) as JSON: what worker and vLLM must agree on. */}}
{{- define "voice.engineEnv" -}}
{{- $env := dict "VLLM_MAX_MODEL_LEN" .vllm.maxModelLen "VLLM_MAX_NUM_SEQS" .vllm.maxNumSeqs -}}
{{- $_ := set $env "VLLM_GPU_MEMORY_UTILIZATION" .vllm.gpuMemoryUtilization -}}
{{- $_ := set $env "VOXTRAL_TRANSCRIPTION_DELAY_MS" .vllm.transcriptionDelayMs -}}
{{- $_ := set $env "VOXTRAL_SERVED_MODEL_NAME" (default .model.id .model.servedName) -}}
{{- with .vllm.apiKey.existingSecret }}{{ $_ := set $env "VLLM_API_KEY" (dict "secret" . "key" $.vllm.apiKey.key) }}{{ end -}}
{{- $env | toJson -}}
{{- end -}}

{{/* (root, pool) as JSON: the environment of vLLM's launcher. */}}
{{- define "voice.vllmEnv" -}}
{{- $root := index . 0 -}}
{{- $pool := index . 1 -}}
{{- $env := include "voice.engineEnv" $pool | fromJson -}}
{{- $_ := set $env "VLLM_HOST" (include "voice.anyAddress" $root) -}}
{{- $_ := set $env "VLLM_PORT" 8300 -}}
{{- $_ := set $env "VOXTRAL_MODEL_ID" $pool.model.id -}}
{{- $_ := set $env "HOME" "/scratch" -}}
{{- /* A view of its own, with its own delay, of what other pods may read too. */ -}}
{{- $_ := set $env "VOXTRAL_SNAPSHOT_DIR" (include "voice.modelFolder" $pool) -}}
{{- $_ := set $env "VOXTRAL_MODEL_DIR" "/scratch/model" -}}
{{- with $pool.vllm.extraArgs }}{{ $_ := set $env "VLLM_EXTRA_ARGS" (include "voice.words" .) }}{{ end -}}
{{- $env | toJson -}}
{{- end -}}

{{/* (pool): where the model is. A download has a folder of its own for each revision: one that is there is never asked for again. */}}
{{- define "voice.modelFolder" -}}
{{- if eq .model.source "hub" -}}
/models/{{ printf "%s@%s" .model.id (default "newest" .model.revision) | replace "/" "--" }}
{{- else -}}
{{- $subPath := (ternary .model.image .model.volume (eq .model.source "image")).subPath -}}
{{- with $subPath }}/models/{{ trimSuffix "/" . }}{{ else }}/models{{ end -}}
{{- end -}}
{{- end -}}

{{/* (list of words): one line that a shell reads back as these words. */}}
{{- define "voice.words" -}}
{{- $words := list -}}
{{- range . -}}
{{- $words = append $words (ternary . (printf "'%s'" (replace "'" "'\\''" .)) (regexMatch "^[A-Za-z0-9_@%+=:,./-]+$" .)) -}}
{{- end -}}
{{- join " " $words -}}
{{- end -}}
