{{/* (root) as JSON: a text for each setting that rules leave open. */}}
{{- define "voice.ruleSettings" -}}
{{- $rules := .Values.monitoring.rules -}}
{{- $objectives := $rules.objectives -}}
{{- $settings := merge (dict) $objectives $rules.thresholds -}}
{{- range list "admission" "firstPartial" "final" "sessionIntegrity" -}}
{{- $ratio := float64 (get $objectives .) -}}
{{- if or (lt $ratio 0.95) (ge $ratio 1.0) -}}
{{- fail (printf "monitoring.rules.objectives.%s is %v: it is from 0.95, below which the alert on a budget that burns fast could never fire, to less than 1" . $ratio) -}}
{{- end -}}
{{- end -}}
{{- $bounds := list -}}
{{- range include "voice.latencyBounds" . | fromJsonArray -}}{{- $bounds = append $bounds (toString .) -}}{{- end -}}
{{- range list "firstPartialSeconds" "finalSeconds" -}}
{{- $seconds := float64 (get $objectives .) | toString -}}
{{- if not (has $seconds $bounds) -}}
{{- fail (printf "monitoring.rules.objectives.%s is %s, which no histogram has as a bound: take one of %s" . $seconds (join ", " $bounds)) -}}
{{- end -}}
{{- /* Prometheus 3 writes the bound of a whole number as 1.0. */ -}}
{{- $_ := set $settings (printf "%sBucket" .) (ternary $seconds (printf "%s|%s.0" $seconds $seconds) (contains "." $seconds)) -}}
{{- end -}}
{{- range list "admission" "firstPartial" "final" "sessionIntegrity" "poolSaturation" "turnsFailed" "redisMemory" -}}
{{- $_ := set $settings (printf "%sPercent" .) (mulf 100 (get $settings .) | toString) -}}
{{- end -}}
{{- $release := include "voice.fullname" . -}}
{{- $namespace := printf "namespace=%q" .Release.Namespace -}}
{{- $recorded := printf "%s,fleet=%q" $namespace (include "voice.fleet" .) -}}
{{- $cards := printf "pod=~\"%s-asr-worker-.+\"" $release -}}
{{- $drain := 0 -}}
{{- $start := 0 -}}
{{- range $name, $_ := .Values.pools -}}
{{- $pool := include "voice.pool" (list $ $name) | fromJson -}}
{{- $drain = max $drain $pool.drainSeconds -}}
{{- if eq $pool.engine "vllm" -}}{{- $start = max $start $pool.vllm.startupSeconds -}}{{- end -}}
{{- end -}}
{{- $settings = merge $settings (dict
  "release" $release
  "own" (default $recorded $rules.selectors.own)
  "recorded" $recorded
  "redis" $rules.selectors.redis
  "exported" (printf "exported_%s" $namespace)
  "honored" (printf "%s,exported_namespace=\"\"" $namespace)
  "exportedCards" (default (printf "exported_%s,exported_%s" $namespace $cards) $rules.selectors.gpu)
  "honoredCards" (default (printf "%s,exported_namespace=\"\",%s" $namespace $cards) $rules.selectors.gpu)
  "drainFor" (printf "%ds" (int (add $drain 180)))
  "startFor" (printf "%ds" (int (add $start 300)))
) -}}
{{- toJson $settings -}}
{{- end -}}

{{/* (root) as JSON: which subjects of alerts this release has. */}}
{{- define "voice.installed" -}}
{{- $pools := dict -}}
{{- $scaled := or .Values.gateway.autoscaling.enabled (and .Values.llmTts.enabled .Values.llmTts.autoscaling.enabled) -}}
{{- $cards := false -}}
{{- $keda := false -}}
{{- $always := false -}}
{{- range $name, $_ := .Values.pools -}}
{{- $pool := include "voice.pool" (list $ $name) | fromJson -}}
{{- $scaling := $pool.autoscaling -}}
{{- $scaled = or $scaled $scaling.enabled -}}
{{- $keda = or $keda (and $scaling.enabled (eq $scaling.kind "keda")) -}}
{{- $cards = or $cards (eq $pool.engine "vllm") -}}
{{- $always = or $always (gt (int (ternary $scaling.minReplicas $pool.replicas $scaling.enabled)) 0) -}}
{{- end -}}
{{- dict
  "autoscaler" $scaled
  "card" $cards
  "gateway" (or .Values.gateway.autoscaling.enabled (gt (int .Values.gateway.replicas) 0))
  "job" .Values.jobs.enabled
  "keda" $keda
  "llmTts" .Values.llmTts.enabled
  "loadTest" .Values.loadTest.enabled
  "redis" (not (empty .Values.monitoring.rules.selectors.redis))
  "tls" (not (empty .Values.gateway.tls.existingSecret))
  "worker" $always | toJson -}}
{{- end -}}
