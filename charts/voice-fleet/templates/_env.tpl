{{/* Environment. Each is a map from a variable to a value or to {secret, key} or {field}; "voice.env" makes the list of it. */}}

{{/* (own, config, extraEnv, what for): own settings, then those of the user, which must not be the same. */}}
{{- define "voice.env" -}}
{{- $own := index . 0 -}}
{{- $all := deepCopy $own -}}
{{- $what := index . 3 -}}
{{- range $name, $value := index . 1 -}}
{{- if hasKey $own $name -}}
{{- fail (printf "%s: config.%s is set by the chart itself; use the value that it is made of" $what $name) -}}
{{- end -}}
{{- if not (regexMatch "^[A-Z][A-Z0-9_]*$" $name) -}}
{{- fail (printf "%s: config.%s is no variable; the names are those of docs/configuration.md" $what $name) -}}
{{- end -}}
{{- $_ := set $all $name $value -}}
{{- end -}}
{{- $seen := deepCopy $all -}}
{{- range index . 2 -}}
{{- if hasKey $seen .name -}}
{{- fail (printf "%s: extraEnv names %s, which is set already" $what .name) -}}
{{- end -}}
{{- $_ := set $seen .name true -}}
{{- end -}}
{{- range $name := keys $all | sortAlpha }}
{{- $value := index $all $name }}
- name: {{ $name }}
{{- if not (kindIs "map" $value) }}
  value: {{ include "voice.text" $value | quote }}
{{- else if $value.secret }}
  valueFrom:
    secretKeyRef:
      name: {{ $value.secret | quote }}
      key: {{ $value.key | quote }}
{{- else }}
  valueFrom:
    fieldRef:
      fieldPath: {{ $value.field | quote }}
{{- end }}
{{- end }}
{{- with index . 2 }}
{{ toYaml . }}
{{- end }}
{{- end -}}

{{/* Helm reads numbers as floats: 1000000 would be told as 1e+06. */}}
{{- define "voice.text" -}}
{{- if and (kindIs "float64" .) (eq . (floor .)) (lt . 9e15) (gt . -9e15) -}}{{ int64 . }}{{- else -}}{{ toString . }}{{- end -}}
{{- end -}}

{{- define "voice.anyAddress" -}}{{ ternary "::" "0.0.0.0" (eq .Values.ipFamily "IPv6") }}{{- end -}}
{{- define "voice.loopback" -}}{{ ternary "[::1]" "127.0.0.1" (eq .Values.ipFamily "IPv6") }}{{- end -}}

{{/* (root, component) as JSON: what every service reads. */}}
{{- define "voice.commonEnv" -}}
{{- $root := index . 0 -}}
{{- $env := dict "LOG_LEVEL" $root.Values.logging.level "INTERNAL_BIND_HOST" (include "voice.anyAddress" $root) -}}
{{- $_ := set $env "REDIS_URL" (include "voice.redisUrl" $root | fromJson).url -}}
{{- if $root.Values.tracing.enabled -}}
{{- $endpoint := required "tracing.endpoint: say where the collector is, such as http://otel-collector.observability:4318" $root.Values.tracing.endpoint -}}
{{- $_ := set $env "OTEL_TRACES_EXPORTER" "otlp" -}}
{{- $_ := set $env "OTEL_EXPORTER_OTLP_ENDPOINT" $endpoint -}}
{{- $_ := set $env "OTEL_TRACES_SAMPLER_ARG" $root.Values.tracing.samplerRatio -}}
{{/* Kubernetes puts in what was declared before: the alphabet sees to it. */}}
{{- $_ := set $env "K8S_NODE_NAME" (dict "field" "spec.nodeName") -}}
{{- $_ := set $env "K8S_POD_NAME" (dict "field" "metadata.name") -}}
{{- $_ := set $env "OTEL_RESOURCE_ATTRIBUTES" (printf "k8s.namespace.name=%s,k8s.pod.name=$(K8S_POD_NAME),k8s.node.name=$(K8S_NODE_NAME),service.namespace=%s" $root.Release.Namespace (include "voice.fullname" $root)) -}}
{{- end -}}
{{- $env | toJson -}}
{{- end -}}

{{/* As JSON: {url}, text or {secret, key}. Exactly one source must be named. */}}
{{- define "voice.redisUrl" -}}
{{- $redis := .Values.redis -}}
{{- $sources := compact (list $redis.url $redis.existingSecret.name (ternary "embedded" "" $redis.embedded.enabled)) -}}
{{- if eq (len $sources) 0 -}}
{{- fail "redis: name one with redis.existingSecret.name (address with password) or redis.url (without), or set redis.embedded.enabled=true for a trial" -}}
{{- end -}}
{{- if gt (len $sources) 1 -}}
{{- fail "redis: name only one of redis.url, redis.existingSecret.name and redis.embedded.enabled" -}}
{{- end -}}
{{- if $redis.url -}}
{{- dict "url" $redis.url | toJson -}}
{{- else if $redis.embedded.enabled -}}
{{- dict "url" (printf "redis://%s:6379" (include "voice.redis" .)) | toJson -}}
{{- else -}}
{{- dict "url" (dict "secret" $redis.existingSecret.name "key" $redis.existingSecret.key) | toJson -}}
{{- end -}}
{{- end -}}

{{/* As JSON: where recordings of jobs are, for gateways and workers. */}}
{{- define "voice.jobsEnv" -}}
{{- $jobs := .Values.jobs -}}
{{- $env := dict -}}
{{- if $jobs.enabled -}}
{{- if and (empty $jobs.existingClaim) (empty $jobs.s3.bucket) -}}
{{- fail "jobs.enabled: recordings need jobs.s3.bucket or jobs.existingClaim (ReadWriteMany)" -}}
{{- end -}}
{{- if and $jobs.existingClaim $jobs.s3.bucket -}}
{{- fail "jobs: name only one of jobs.s3.bucket and jobs.existingClaim" -}}
{{- end -}}
{{- if $jobs.existingClaim -}}
{{- $_ := set $env "JOBS_DIR" "/var/lib/voice-fleet/jobs" -}}
{{- else -}}
{{- $_ := set $env "JOBS_S3_BUCKET" $jobs.s3.bucket -}}
{{- $_ := set $env "JOBS_S3_PATH_STYLE" $jobs.s3.pathStyle -}}
{{- with $jobs.s3.endpoint }}{{ $_ := set $env "JOBS_S3_ENDPOINT" . }}{{ end -}}
{{- with $jobs.s3.region }}{{ $_ := set $env "AWS_REGION" . }}{{ end -}}
{{- with $jobs.s3.existingSecret -}}
{{- $_ := set $env "AWS_ACCESS_KEY_ID" (dict "secret" . "key" "access-key-id") -}}
{{- $_ := set $env "AWS_SECRET_ACCESS_KEY" (dict "secret" . "key" "secret-access-key") -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- $env | toJson -}}
{{- end -}}
