{{/* As JSON: the environment of gateways. */}}
{{- define "voice.gatewayEnv" -}}
{{- $gateway := .Values.gateway -}}
{{- $env := mergeOverwrite (include "voice.commonEnv" (list . "gateway") | fromJson) (include "voice.jobsEnv" . | fromJson) -}}
{{- $_ := set $env "SERVER_BIND_HOST" (include "voice.anyAddress" .) -}}
{{- $_ := set $env "FLEET_NAME" (include "voice.fleet" .) -}}
{{- $_ := set $env "FLEET_PLACEMENT" .Values.fleet.placement -}}
{{- $_ := set $env "LEASE_TTL_S" .Values.fleet.leaseTtlSeconds -}}
{{- $_ := set $env "DRAIN_S" $gateway.drainSeconds -}}
{{- $_ := set $env "SHUTDOWN_TIMEOUT_S" (add $gateway.drainSeconds 10) -}}
{{- $_ := set $env "JOBS_ENABLED" .Values.jobs.enabled -}}
{{- if .Values.llmTts.enabled }}{{ $_ := set $env "LLM_TTS_URL" (printf "http://%s:8400" (include "voice.llmTts" .)) }}{{ end -}}
{{- if $gateway.tls.existingSecret -}}
{{- $_ := set $env "TLS_CERT_FILE" "/etc/voice-fleet/tls/tls.crt" -}}
{{- $_ := set $env "TLS_KEY_FILE" "/etc/voice-fleet/tls/tls.key" -}}
{{- end -}}
{{- $weights := dict -}}
{{- $warmups := dict -}}
{{- range $name, $own := .Values.pools -}}
{{- $pool := include "voice.pool" (list $ $name) | fromJson -}}
{{- if not (kindIs "invalid" $pool.weight) }}{{ $_ := set $weights $name (int $pool.weight) }}{{ end -}}
{{- if $pool.autoscaling.enabled }}{{ $_ := set $warmups $name (int $pool.autoscaling.warmupSeconds) }}{{ end -}}
{{- end -}}
{{- with .Values.pools }}{{ $_ := set $env "FLEET_POOLS" (keys . | sortAlpha | join ",") }}{{ end -}}
{{- if $warmups }}{{ $_ := set $env "FLEET_POOL_WARMUP_S" (toJson $warmups) }}{{ end -}}
{{- if $weights }}{{ $_ := set $env "FLEET_POOL_WEIGHTS" (toJson $weights) }}{{ end -}}
{{- $auth := .Values.auth -}}
{{- if not (or $auth.apiKeyKey $auth.adminKeyKey) -}}
{{- fail "auth: set auth.apiKeyKey or auth.adminKeyKey; with neither nobody could ever open a session" -}}
{{- end -}}
{{- $secret := required "auth.existingSecret: make a Secret with the API key and name it here: kubectl create secret generic voice-keys --from-literal=api-key=\"$(openssl rand -base64 24)\"" $auth.existingSecret -}}
{{- with $auth.apiKeyKey }}{{ $_ := set $env "VOXTRAL_API_KEY" (dict "secret" $secret "key" .) }}{{ end -}}
{{- with $auth.adminKeyKey }}{{ $_ := set $env "ADMIN_API_KEY" (dict "secret" $secret "key" .) }}{{ end -}}
{{- with $auth.webhookSecretKey }}{{ $_ := set $env "JOBS_WEBHOOK_SECRET" (dict "secret" $secret "key" .) }}{{ end -}}
{{- $env | toJson -}}
{{- end -}}
