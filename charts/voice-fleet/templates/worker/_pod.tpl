{{/* (root, name, pool): the pod template of a pool. */}}
{{- define "voice.workerPod" -}}
{{- $root := index . 0 -}}
{{- $name := index . 1 -}}
{{- $pool := index . 2 -}}
{{- $vllm := eq $pool.engine "vllm" -}}
metadata:
  labels:
    {{- include "voice.podLabels" (list $root "asr-worker" $name $pool.podLabels) | nindent 4 }}
  {{- $annotations := deepCopy $pool.podAnnotations }}
  {{- if $pool.protect.fromNodeAutoscaler }}
  {{- $annotations = merge $annotations (dict "cluster-autoscaler.kubernetes.io/safe-to-evict" "false" "karpenter.sh/do-not-disrupt" "true") }}
  {{- end }}
  {{- with $annotations }}
  annotations:
    {{- toYaml . | nindent 4 }}
  {{- end }}
spec:
  serviceAccountName: {{ include "voice.worker" (list $root $name) }}
  # A worker of a Deployment tells how dear its pod is.
  automountServiceAccountToken: {{ eq $pool.kind "Deployment" }}
  enableServiceLinks: false
  {{- with include "voice.pullSecrets" $root | trim }}{{ . | nindent 2 }}{{ end }}
  {{- with $pool.gpu.runtimeClassName }}
  runtimeClassName: {{ . | quote }}
  {{- end }}
  securityContext:
    {{- include "voice.podSecurity" $root | nindent 4 }}
  # Sessions move while the worker still serves them; then it closes (10 s), and vLLM after it (30 s).
  terminationGracePeriodSeconds: {{ include "voice.grace" (list (printf "pools.%s" $name) (add $pool.drainSeconds 45) $pool.terminationGracePeriodSeconds) }}
  {{- $where := deepCopy $pool }}
  {{- if $vllm }}
  {{- if $pool.gpu.product }}
  {{- $_ := set $where "nodeSelector" (merge (deepCopy $pool.nodeSelector) (dict "nvidia.com/gpu.product" $pool.gpu.product)) }}
  {{- end }}
  {{- if $pool.gpu.tolerate }}
  {{- $_ := set $where "tolerations" (append $pool.tolerations (dict "key" "nvidia.com/gpu" "operator" "Exists" "effect" "NoSchedule")) }}
  {{- end }}
  {{- end }}
  {{- with include "voice.placement" $where | trim }}{{ . | nindent 2 }}{{ end }}
  {{- include "voice.spread" (list $root "asr-worker" $name $pool (ternary "pod-template-hash" "" (eq $pool.kind "Deployment"))) | nindent 2 }}
  {{- with $pool.gpu.resourceClaims }}
  resourceClaims:
    {{- toYaml . | nindent 4 }}
  {{- end }}
  {{- if $vllm }}
  {{- include "voice.vllmContainers" . | nindent 2 }}
  {{- end }}
  containers:
    - name: asr-worker
      image: {{ include "voice.image" (list $root $root.Values.images.asrWorker $pool.image) | quote }}
      imagePullPolicy: {{ $root.Values.images.pullPolicy }}
      securityContext:
        {{- include "voice.containerSecurity" $root | nindent 8 }}
      env:
        {{- include "voice.env" (list (include "voice.workerEnv" . | fromJson) $pool.config $pool.extraEnv (printf "pools.%s" $name)) | trim | nindent 8 }}
      {{- with $pool.extraEnvFrom }}
      envFrom:
        {{- toYaml . | nindent 8 }}
      {{- end }}
      ports:
        - name: link
          containerPort: 8200
        - name: internal
          containerPort: 9200
      # The ports are open before the engine is ready.
      startupProbe:
        {{- include "voice.probe" (list "/livez" "internal" (dict "periodSeconds" 2 "failureThreshold" 60)) | nindent 8 }}
      readinessProbe:
        {{- include "voice.probe" (list "/readyz" "internal" (dict "periodSeconds" 5 "failureThreshold" 2 "timeoutSeconds" 3)) | nindent 8 }}
      livenessProbe:
        {{- include "voice.probe" (list "/livez" "internal" (dict "periodSeconds" 10 "failureThreshold" 6 "timeoutSeconds" 5)) | nindent 8 }}
      resources:
        {{- include "voice.resources" (list $pool.resources dict) | nindent 8 }}
      volumeMounts:
        - name: tmp
          mountPath: /tmp
        {{- if and $root.Values.jobs.enabled $root.Values.jobs.existingClaim }}
        - name: jobs
          mountPath: /var/lib/voice-fleet/jobs
        {{- end }}
        {{- with $pool.extraVolumeMounts }}
        {{- toYaml . | nindent 8 }}
        {{- end }}
    {{- with $pool.extraContainers }}
    {{- toYaml . | nindent 4 }}
    {{- end }}
  volumes:
    - name: tmp
      emptyDir: {}
    {{- if and $root.Values.jobs.enabled $root.Values.jobs.existingClaim }}
    - name: jobs
      persistentVolumeClaim:
        claimName: {{ $root.Values.jobs.existingClaim | quote }}
    {{- end }}
    {{- if $vllm }}
    # Processes of vLLM talk through shared memory.
    - name: shm
      emptyDir:
        medium: Memory
        sizeLimit: {{ $pool.vllm.shmSize }}
    - name: scratch
      emptyDir:
        sizeLimit: {{ $pool.vllm.scratchSize }}
    {{- include "voice.modelVolume" $pool | trim | nindent 4 }}
    {{- end }}
    {{- with $pool.extraVolumes }}
    {{- toYaml . | nindent 4 }}
    {{- end }}
{{- end -}}

{{/* (root, name, pool): the model is made ready with the token, then served without it. */}}
{{- define "voice.vllmContainers" -}}
{{- $root := index . 0 -}}
{{- $pool := index . 2 -}}
{{- $env := include "voice.vllmEnv" (list $root $pool) | fromJson -}}
{{- $what := printf "pools.%s.vllm" (index . 1) -}}
{{- $hub := eq $pool.model.source "hub" -}}
initContainers:
  {{- if $hub }}
  - name: model
    image: {{ include "voice.image" (list $root $root.Values.images.vllm $pool.vllm.image) | quote }}
    imagePullPolicy: {{ $root.Values.images.pullPolicy }}
    securityContext:
      {{- include "voice.containerSecurity" $root | nindent 6 }}
    args: [prepare]
    {{- $download := omit $env "VOXTRAL_SNAPSHOT_DIR" }}
    {{- $_ := set $download "VOXTRAL_MODEL_DIR" (include "voice.modelFolder" $pool) }}
    {{- with $pool.model.revision }}{{ $_ := set $download "VOXTRAL_MODEL_REVISION" . }}{{ end }}
    {{- with $pool.model.token.existingSecret }}
    {{- $_ := set $download "HF_TOKEN" (dict "secret" . "key" $pool.model.token.key) }}
    {{- end }}
    env:
      {{- include "voice.env" (list $download $pool.vllm.config list $what) | trim | nindent 6 }}
    resources:
      requests: { cpu: 500m, memory: 1Gi }
      limits: { memory: 4Gi }
    volumeMounts:
      {{- include "voice.vllmMounts" false | nindent 6 }}
  {{- end }}
  - name: vllm
    # A sidecar: it is up before the worker starts, and goes on until the worker has ended.
    restartPolicy: Always
    image: {{ include "voice.image" (list $root $root.Values.images.vllm $pool.vllm.image) | quote }}
    imagePullPolicy: {{ $root.Values.images.pullPolicy }}
    securityContext:
      {{- include "voice.containerSecurity" $root | nindent 6 }}
    args: [run]
    {{- $_ := set $env "HF_HUB_OFFLINE" 1 }}
    env:
      {{- include "voice.env" (list $env $pool.vllm.config $pool.vllm.extraEnv $what) | trim | nindent 6 }}
    ports:
      - name: vllm
        containerPort: 8300
    startupProbe:
      {{- include "voice.probe" (list "/health" "vllm" (dict "periodSeconds" 5 "timeoutSeconds" 3 "failureThreshold" (div (add (int $pool.vllm.startupSeconds) 4) 5))) | nindent 6 }}
    # Its own /health says yes of an engine that hangs; the worker finds that out, and is not ready. This is for one that is gone.
    livenessProbe:
      {{- include "voice.probe" (list "/health" "vllm" (dict "periodSeconds" 10 "timeoutSeconds" 5 "failureThreshold" 6)) | nindent 6 }}
    resources:
      {{- $claims := list }}
      {{- range $pool.gpu.resourceClaims }}{{ $claims = append $claims (dict "name" .name) }}{{ end }}
      {{- include "voice.resources" (list (set (deepCopy $pool.vllm.resources) "claims" $claims) (include "voice.cards" $pool | fromJson)) | nindent 6 }}
    volumeMounts:
      {{- include "voice.vllmMounts" true | nindent 6 }}
{{- end -}}

{{- define "voice.cards" -}}
{{- if gt (int .gpu.count) 0 }}{{ dict .gpu.resourceName (toString .gpu.count) | toJson }}{{ else }}{}{{ end -}}
{{- end -}}

{{/* Whether the model is only read. */}}
{{- define "voice.vllmMounts" -}}
- name: shm
  mountPath: /dev/shm
- name: scratch
  mountPath: /scratch
- name: scratch
  mountPath: /tmp
  subPath: tmp
- name: models
  mountPath: /models
  {{- if . }}
  readOnly: true
  {{- end }}
{{- end -}}

{{- define "voice.modelVolume" -}}
{{- if eq .model.source "image" }}
- name: models
  image:
    reference: {{ .model.image.reference | quote }}
    pullPolicy: {{ .model.image.pullPolicy }}
{{- else if eq .model.source "volume" }}
- name: models
  {{- if .model.volume.existingClaim }}
  persistentVolumeClaim:
    claimName: {{ .model.volume.existingClaim | quote }}
    readOnly: true
  {{- else }}
  hostPath:
    path: {{ .model.volume.hostPath | quote }}
    type: Directory
  {{- end }}
{{- else if eq .model.cache.kind "existingClaim" }}
- name: models
  persistentVolumeClaim:
    claimName: {{ .model.cache.claimName | quote }}
{{- else if eq .model.cache.kind "hostPath" }}
- name: models
  hostPath:
    path: {{ .model.cache.path | quote }}
    type: Directory
{{- else if eq .model.cache.kind "emptyDir" }}
- name: models
  emptyDir:
    sizeLimit: {{ .model.cache.size }}
{{- end }}
{{- end -}}
